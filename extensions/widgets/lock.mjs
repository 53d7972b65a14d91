// Takes the download addresses out of package-lock.json: each machine asks the registry that it is set up for. What is downloaded is still checked by its digest.
import { readFileSync, writeFileSync } from "node:fs";

const lock = JSON.parse(readFileSync("package-lock.json", "utf8"));
for (const one of Object.values(lock.packages)) delete one.resolved;
writeFileSync("package-lock.json", `${JSON.stringify(lock, null, 2)}\n`);
