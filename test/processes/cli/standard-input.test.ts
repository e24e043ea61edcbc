/** Standard input that holds nothing that was meant to be read is not an empty value. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { cleanEnv } from "../../cluster/Flaredb.ts"

/** Runs `flaredb` from a shell, which opens and closes descriptors. Nothing listens on port 1. */
const shell = (args: string, input = "") => {
  const { status, stderr } = spawnSync("sh", ["-c", `"${process.execPath}" bin/flaredb.js ${args}`], {
    input,
    encoding: "utf8",
    env: { ...process.env, ...cleanEnv({ FLAREDB_ENDPOINTS: "127.0.0.1:1" }) }
  })
  return { code: status, err: stderr }
}

describe("standard input", () => {
  it.live("that is a directory, closed or write-only is refused", () =>
    Effect.sync(() => {
      const directory = shell("put x - < /tmp")
      assert.deepStrictEqual(directory, { code: 1, err: "flaredb: standard input cannot be read: it is a directory\n" })
      assert.strictEqual(shell("put --rows < /tmp").code, 1)
      if (process.platform === "linux") {
        assert.deepStrictEqual(shell("put x - <&-"), {
          code: 1,
          err: "flaredb: standard input cannot be read: it is closed\n"
        })
      }
      assert.match(shell("put x - 0> /dev/null").err, /standard input cannot be read: EBADF/)
      // An empty value is a value.
      assert.match(shell("put x - < /dev/null").err, /no process listens there/)
    }), 300_000)

  it.live("that names a list or a field twice is refused, instead of losing the first", () =>
    Effect.sync(() => {
      const lists = shell("txn -", "{\"do\":[[\"put\",\"a\",\"1\"]],\"do\":[[\"get\",\"b\"]]}")
      assert.strictEqual(lists.code, 2)
      assert.match(lists.err, /standard input has "do" twice/)
      const fields = shell("put --rows", "{\"key\":\"a\",\"key\":\"b\",\"value\":\"1\"}\n")
      assert.strictEqual(fields.code, 2)
      assert.match(fields.err, /line 1 has "key" twice/)
      const number = shell("txn -", "{\"if\":[[\"version\",\"a\",\"<\",1]]}")
      assert.match(number.err, /if\[0\] of standard input is no list of words/)
    }), 300_000)
})
