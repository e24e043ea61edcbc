/** What was tried and did not work: exit code 1, and one line with what to do. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import type { AddressInfo } from "node:net"
import { createServer } from "node:net"
import { freePorts } from "../../FreePorts.ts"
import { run, startArgs } from "./CommandLine.ts"
import { runInProcess } from "./InProcess.ts"
import { defaultLimits, limitNames } from "../../../src/config/Limits.ts"
import { flagOf } from "../../../src/config/Setting.ts"

describe("an unreachable cluster", () => {
  const commands: ReadonlyArray<ReadonlyArray<string>> = [
    ["put", "k", "v"],
    ["get", "k"],
    ["delete", "k"],
    ["scan"],
    ["watch"],
    ["compact"],
    ["status"],
    ["transfer-leader"]
  ]
  for (const args of commands) {
    // `unreachable.test.ts` has the processes, and what they say as JSON.
    it.live(`fails ${args[0]} within its timeout, naming every endpoint`, () =>
      Effect.gen(function*() {
        const endpoints = (yield* freePorts(2)).map((port) => `127.0.0.1:${port}`)
        const words = [...args, "--endpoints", endpoints.join(","), "--timeout", "1m"]
        const { code, err } = yield* runInProcess(words, { oneAtATime: true })
        assert.strictEqual(code, 1, err)
        assert.match(err, /^flaredb: [^\n]+\n$/)
        for (const endpoint of endpoints) assert.include(err, endpoint)
      }).pipe(Effect.provide(NodeServices.layer)))
  }

  it.live("is told from another service at the endpoint", () =>
    Effect.gen(function*() {
      const server = createServer((socket) => socket.on("error", () => undefined).write(new Uint8Array(64).fill(0xc1)))
      yield* Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)))
      yield* Effect.addFinalizer(() => Effect.sync(() => server.close()))
      const { port } = server.address() as AddressInfo
      const expected = `127.0.0.1:${port}: what answers there is no FlareDB node, or this is another port of one`
      // It tries until its time is over, and a busy machine may have answered nothing by then.
      for (const timeout of ["1s", "10s", "1m"]) {
        const { code, err } = yield* runInProcess(["get", "k", "-e", `127.0.0.1:${port}`, "--timeout", timeout])
        assert.strictEqual(code, 1)
        if (err.includes(expected)) return
        if (timeout === "1m") assert.include(err, expected)
      }
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("fails transfer-leader, saying that no node leads and why", () =>
    Effect.gen(function*() {
      const [port] = yield* freePorts(1)
      const { code, err, out } = yield* runInProcess(["transfer-leader", "-e", `127.0.0.1:${port}`, "--timeout", "1m"])
      assert.deepInclude({ code, out }, { code: 1, out: "" }, err)
      assert.match(err, /^flaredb: [^\n]*no node leads[^\n]*no process listens there[^\n]*\n$/)
    }).pipe(Effect.provide(NodeServices.layer)))
})

describe("inspect", () => {
  it.live("refuses what is no data directory, says what it found, and creates nothing", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-inspect-" })
      const missing = yield* run(["inspect", `${folder}/missing`])
      assert.deepInclude(missing, { code: 1, out: "" })
      assert.match(missing.err, /^flaredb: [^\n]*missing[^\n]*nothing there[^\n]*--data-dir[^\n]*\n$/)
      const empty = yield* runInProcess(["inspect", folder])
      assert.deepInclude(empty, { code: 1, out: "" })
      assert.match(empty.err, /no CURRENT file/)
      assert.deepStrictEqual(yield* files.readDirectory(folder), [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})

describe("replay", () => {
  it.live("says what is no trace, and what cannot be read", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-replay-" })
      yield* files.writeFileString(`${folder}/empty`, "")
      yield* files.writeFileString(`${folder}/text`, "one\ntwo\n")
      // One line, without a block on the disk, that fits into no string.
      yield* files.writeFileString(`${folder}/long`, "")
      yield* files.truncate(`${folder}/long`, 600 * 1024 * 1024)
      const cases: ReadonlyArray<readonly [string, RegExp]> = [
        ["missing", /the trace \S+ cannot be read: there is nothing of that name \(ENOENT\)\n/],
        ["empty", /holds no trace/],
        ["long", /long holds no trace: it has a line of more than 268435456 bytes/],
        ["text", /line 1 is not JSON; 0 steps before it/]
      ]
      for (const [name, expected] of cases) {
        const { code, err, out } = yield* runInProcess(["replay", `${folder}/${name}`])
        assert.deepStrictEqual([code, out], [1, ""], name)
        assert.match(err, expected)
      }
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("start says why a trace cannot be written, before anything is made", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-replay-" })
      const args = startArgs(yield* freePorts(3), `${folder}/data`, "--trace", `${folder}/no/trace`)
      const { code, err } = yield* run(args)
      assert.strictEqual(code, 1)
      assert.match(err, /the trace \S+ cannot be written: its folder does not exist \(ENOENT\)\..* without --trace/)
      assert.deepStrictEqual(yield* files.readDirectory(folder), [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})

describe("config check", () => {
  it.live("prints the configuration, a flag over its variable over the default", () =>
    Effect.gen(function*() {
      const { code, err, out } = yield* run(["config", "check", "--node-id", "2", "--heartbeat-ms", "20"], {
        env: { FLAREDB_NODE_ID: "1", FLAREDB_HEARTBEAT_MS: "30", FLAREDB_CLUSTER_ID: "prod" }
      })
      assert.strictEqual(code, 0, err)
      assert.deepInclude(JSON.parse(out) as object, {
        nodeId: 2,
        heartbeatMs: 20,
        clusterId: "prod",
        dataDir: "./data/node-2",
        electionTimeoutMinMs: 500
      })
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("with --json prints it as one object on a line, and all that is wrong with it as one error", () =>
    Effect.gen(function*() {
      const args = ["config", "check", "--node-id", "2"]
      const { code, err, out } = yield* runInProcess([...args, "--json"])
      assert.strictEqual(code, 0, err)
      assert.match(out, /^\{.*\}\n$/)
      assert.deepStrictEqual(JSON.parse(out), JSON.parse((yield* runInProcess(args)).out))
      const wrong = yield* runInProcess([...args, "--json", "--heartbeat-ms", "0", "--cluster-id", "a b"], {
        oneAtATime: true
      })
      assert.deepInclude({ code: wrong.code, out: wrong.out }, { code: 2, out: "" })
      const { error } = JSON.parse(wrong.err)
      assert.deepInclude(error, { tag: "InvalidConfig", exitCode: 2 })
      assert.sameMembers(error.problems.map(({ field }: { readonly field: string }) => field), [
        "clusterId",
        "heartbeatMs"
      ])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("takes every limit as a flag", () =>
    Effect.gen(function*() {
      const limits = Object.fromEntries(limitNames.map((name) => [name, defaultLimits[name] - 1]))
      const flags = Object.entries(limits).flatMap(([name, value]) => [`--${flagOf(name)}`, String(value)])
      const { code, err, out } = yield* runInProcess(["config", "check", "--node-id", "1", ...flags])
      assert.strictEqual(code, 0, err)
      assert.deepStrictEqual((JSON.parse(out) as { readonly limits: unknown }).limits, limits)
    }).pipe(Effect.provide(NodeServices.layer)))
})
