/** What `npm run test:power-loss` changes in the built command line still has its place there. */
import { assert, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"

it("the power-loss run finds the size of a write buffer in the build", () => {
  const { status, stderr } = spawnSync(
    process.execPath,
    ["--import", new URL("../power-loss/SmallBuffers.ts", import.meta.url).href, "--eval", ""],
    { encoding: "utf8" }
  )
  assert.strictEqual(status, 0, stderr)
})
