/** Builds the package once before the real-process tests, which run what users run: `bin/flaredb.js` over `dist/`. */
import { execFileSync } from "node:child_process"

export default function setup(): void {
  execFileSync("npm", ["run", "--silent", "build"], { stdio: "inherit" })
}
