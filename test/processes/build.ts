/** Builds the package once before the tests of real processes, which run what users run: `bin/flaredb.js` over `dist/`. */
import { execFileSync } from "node:child_process"

/** Each project of a run calls this; the first one builds for all. */
const built = "VITEST_PACKAGE_IS_BUILT"

export default function setup(): void {
  if (process.env[built] !== undefined) return
  execFileSync("npm", ["run", "--silent", "build"], { stdio: "inherit" })
  process.env[built] = "true"
}
