/** Builds the package once before the real-process tests, which run what users run: `bin/flaredb.js` over `dist/`. */
import { execFileSync } from "node:child_process"

export default function setup(): void {
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"], { stdio: "inherit" })
}
