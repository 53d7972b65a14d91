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
const WIDGETS = ["chat", "editor", "grid", "picker", "runs", "vault"];
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
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
    legalComments: "inline",
    outdir: "out",
    write: false,
    metafile: true,
  });
  const code = built.outputFiles.map(({ path, text }) => [relative(join(HERE, "out"), path), text]);
  return [...code, ...Object.entries(built.metafile.outputs).flatMap(([path, made]) => notices(path, made))];
}

/** The licences of the packages that are in a script, for whoever gets it: most bundles say nothing of them. */
function notices(path, { inputs }) {
  const packages = Object.keys(inputs).flatMap(
    (input) => input.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)\//)?.[1] ?? [],
  );
  if (!path.endsWith(".js") || !packages.length) return [];
  const texts = [...new Set(packages)].sort().map((name) => {
    const folder = join(HERE, "node_modules", name);
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
    if (!file) throw new Error(`${name} says no licence`);
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
  });
  const [, widget] = path.split("/");
  return [[join(widget, "licenses.txt"), texts.join(`\n${"-".repeat(80)}\n\n`).replaceAll("\r\n", "\n")]];
}

const files = (await bundles()).map(([path, text]) => {
  const [widget] = path.split(sep);
  return [`${widget}.${path.endsWith(".css") ? "css" : path.endsWith(".txt") ? "licenses.txt" : "js"}`, text];
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
