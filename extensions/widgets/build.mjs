// Bundles each widget into orchestrator_nb/widgets/static; with --check, tells whether what stands there is what the sources make.
// With names (`npm run build -- picker`) only those, and without the digest: for work on one widget while another does not build.
// Beside the bundles stands a digest of the sources, so that Python can tell old bundles from new ones where there is no node.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

const HERE = import.meta.dirname;
const STATIC = join(HERE, "../../orchestrator_nb/widgets/static");
const WIDGETS = ["grid", "picker", "vault"];
const named = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const wanted = named.length ? named : WIDGETS;

function sources() {
  const found = readdirSync(join(HERE, "src"), { recursive: true, withFileTypes: true });
  const files = found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return [...files, join(HERE, "build.mjs"), join(HERE, "package-lock.json")];
}

/** The same as `extensions/hatch_build.py` reckons. */
function digest() {
  const hash = createHash("sha256");
  const files = sources().map((path) => [relative(HERE, path).split(sep).join("/"), path]);
  for (const [name, path] of files.sort(([a], [b]) => (a < b ? -1 : 1))) {
    const text = readFileSync(path, "utf8").replaceAll("\r\n", "\n");
    hash.update(`${name}\0${text}\0`);
  }
  return hash.digest("hex");
}

async function bundles() {
  const entryPoints = wanted.flatMap((name) => [`src/${name}/index.ts`, `src/${name}/style.css`]);
  const built = await esbuild.build({
    absWorkingDir: HERE,
    entryPoints,
    outbase: "src",
    bundle: true,
    format: "esm",
    target: ["es2022", "chrome111", "firefox121", "safari16.4"],
    minify: true,
    charset: "utf8",
    legalComments: "inline",
    outdir: "out",
    write: false,
  });
  return built.outputFiles.map(({ path, text }) => [relative(join(HERE, "out"), path), text]);
}

const files = (await bundles()).map(([path, text]) => {
  const [widget] = path.split(sep);
  return [path.endsWith(".css") ? `${widget}.css` : `${widget}.js`, text];
});
if (!named.length) files.push(["built.json", `${JSON.stringify({ sources: digest() }, null, 2)}\n`]);

const old = [];
for (const [name, text] of files) {
  const path = join(STATIC, name);
  if (!process.argv.includes("--check")) {
    writeFileSync(path, text);
    console.log(`${name}: ${text.length} bytes, ${gzipSync(text).length} gzipped`);
  } else if (readFileSync(path, "utf8") !== text) {
    old.push(name);
  }
}
if (old.length) {
  console.error(`${old.join(", ")}: not what the sources make; run: npm run build`);
  process.exit(1);
}
