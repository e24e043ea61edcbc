/** Arguments of bytes that are no UTF-8: Node would make U+FFFD of each, so two names would be one. */
import { execFile } from "node:child_process"
import { describe, it } from "vitest"
import { assert } from "@effect/vitest"
import { cleanEnv } from "../../cluster/Flaredb.ts"

interface Ran {
  readonly code: number
  readonly err: string
}

/** Runs the launcher with arguments as a shell writes them: only a shell can pass on such bytes. */
const run = (args: string, env: Readonly<Record<string, string>> = {}, before = ""): Promise<Ran> =>
  new Promise((resolve) => {
    const line = `${before} exec "${process.execPath}" bin/flaredb.js ${args}`
    execFile("sh", ["-c", line], { env: { ...process.env, ...cleanEnv(env) } }, (error, _, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), err })
    })
  })

const bad = "\"$(printf 'k\\377')\""

describe.runIf(process.platform === "linux")("an argument that is not UTF-8", () => {
  const commands = [
    "put",
    "put key",
    "get",
    "get --output",
    "delete",
    "delete --prefix",
    "scan",
    "scan --cursor",
    "count",
    "watch",
    "txn --do",
    "lease ttl",
    "lock",
    "lock name -- echo",
    "session end",
    "backup",
    "backup --from",
    "restore",
    "inspect",
    "replay",
    "status -e",
    "start --data-dir",
    "cluster --data-dir",
    "config check --data-dir",
    "cert client",
    "cert show",
    "cert check --certs-dir"
  ]
  it("is refused by every verb before anything is tried", async () => {
    for (const command of commands) {
      const { code, err } = await run(`${command} ${bad}`)
      assert.strictEqual(code, 2, `${command}: ${err}`)
      const position = command.split(" ").length + 1
      assert.match(err, /^flaredb: [^\n]+\n$/)
      assert.include(err, `argument ${position} is not UTF-8: k\\xff; `, command)
      assert.match(err, /--key-encoding hex.*--value-encoding hex.* with -\n$/)
    }
  }, 300_000)

  it("is an object for whoever asked for JSON", async () => {
    const { code, err } = await run(`get --json ${bad}`)
    assert.strictEqual(code, 2)
    const { error } = JSON.parse(err)
    assert.deepInclude(error, { tag: "WrongUsage", exitCode: 2 })
    assert.match(error.message, /^argument 3 is not UTF-8: k\\xff; /)
    assert.match((await run(`lock name -- echo --json ${bad}`)).err, /^flaredb: argument 6 /)
  })

  it("is told apart from the character U+FFFD, which is text", async () => {
    const { code, err } = await run("get \ufffd \ufffd")
    assert.strictEqual(code, 2)
    assert.notMatch(err, /UTF-8/)
    assert.match(err, /Unexpected|unknown|"\ufffd"/i)
  })

  it("is refused in a variable of FlareDB, and not in one of others", async () => {
    const refused = await run("config check", {}, `FLAREDB_DATA_DIR=${bad}; export FLAREDB_DATA_DIR;`)
    assert.strictEqual(refused.code, 2)
    assert.include(refused.err, "the variable FLAREDB_DATA_DIR=k\\xff is not UTF-8")
    const other = await run("config check --node-id 1", {}, `OTHER=${bad}; export OTHER;`)
    assert.deepStrictEqual(other, { code: 0, err: "" })
  })
})

it("a variable of the launcher's own that something else has set ends no command", async () => {
  const { code, err } = await run("--version", { FLAREDB_PARENT_PIPE: "true" }, "exec 3<package.json;")
  assert.deepStrictEqual({ code, err }, { code: 0, err: "" })
})
