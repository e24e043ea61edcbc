/** V8 says nothing to the program about a flag that it does not know: it prints a line and goes on without it. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { join } from "node:path"

const source = join(import.meta.dirname, "../../../src/cli/launch/HeapGrowth.ts")

const stderrOf = (program: string): string =>
  spawnSync(process.execPath, ["--input-type=module", "--eval", program], { encoding: "utf8" }).stderr

describe("the growth of a node's heap", () => {
  it("is set by a flag that this V8 knows", () => {
    assert.include(stderrOf(`import v8 from "node:v8"; v8.setFlagsFromString("--heap-growing-word=1")`), "unrecognized")
    assert.strictEqual(stderrOf(`import { setHeapGrowth } from "${source}"; setHeapGrowth()`), "")
  })
})
