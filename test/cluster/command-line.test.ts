/** The command line against a real cluster: what each verb prints, and the exit code scripts rely on. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem, Option, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { execFileSync } from "node:child_process"
import { runInProcess } from "../processes/cli/InProcess.ts"
import * as Cluster from "./Cluster.ts"
import { cleanEnv, launcher, run } from "./Flaredb.ts"

/** In this process; `asProcess` is the same as its users run it, for each kind of output and exit code. */
const commandLineOf = (cluster: Cluster.Cluster) => {
  const env = { FLAREDB_ENDPOINTS: cluster.endpointList }
  return {
    flaredb: (...args: ReadonlyArray<string>) =>
      runInProcess(args, { env: { FLAREDB_TIMEOUT_MS: "20000", ...env }, oneAtATime: true }),
    asProcess: (...args: ReadonlyArray<string>) => run(args, { env })
  }
}

it.live("put, get, scan, delete, status and transfer-leader do what they say", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)
    const { asProcess, flaredb } = commandLineOf(cluster)

    assert.deepStrictEqual(yield* asProcess("put", "greeting", "hello, world"), {
      code: 0,
      out: "created at revision 1\n",
      err: ""
    })
    assert.strictEqual((yield* flaredb("put", "greeting", "hello again")).out, "updated at revision 2\n")
    assert.deepStrictEqual(yield* asProcess("get", "greeting"), { code: 0, out: "hello again\n", err: "" })
    assert.deepStrictEqual(JSON.parse((yield* flaredb("get", "greeting", "--json")).out), {
      key: "greeting",
      value: "hello again",
      createRevision: 1,
      modRevision: 2,
      version: 2
    })
    assert.strictEqual((yield* flaredb("get", "greeting", "--stale")).code, 0)

    const missing = yield* asProcess("get", "nothing")
    assert.deepStrictEqual(missing, { code: 3, out: "", err: "flaredb: the key \"nothing\" does not exist\n" })
    assert.strictEqual((yield* flaredb("delete", "nothing")).code, 3)

    const binary = yield* run(["put", "binary", "-"], {
      env: { FLAREDB_ENDPOINTS: cluster.endpointList },
      stdin: "from standard input"
    })
    assert.strictEqual(binary.code, 0, binary.err)
    assert.strictEqual((yield* flaredb("get", "binary")).out, "from standard input\n")
    assert.strictEqual((yield* flaredb("put", "--encoding", "hex", "ff", "00ff")).code, 0)
    assert.include((yield* flaredb("scan")).out, "\n(base64) /w==\t(base64) AP8=\n")
    assert.strictEqual((yield* flaredb("get", "--encoding", "hex", "ff")).out, "00ff\n")

    const page = yield* asProcess("scan", "--limit", "1")
    assert.deepStrictEqual(page, {
      code: 0,
      out: "binary\tfrom standard input\n",
      err: "there is more; go on with --cursor binary\n"
    })
    assert.strictEqual((yield* flaredb("scan", "g", "--keys-only")).out, "greeting\n")
    assert.deepStrictEqual(yield* flaredb("delete", "greeting"), { code: 0, out: "deleted at revision 5\n", err: "" })

    const status = yield* asProcess("status")
    assert.strictEqual(status.code, 0)
    assert.match(status.out, /^ENDPOINT +NODE +ROLE +TERM +LEADER +COMMIT +APPLIED +LAG +CLOCK +CATCH-UP\n/)
    assert.strictEqual(status.out.match(/ follower /g)?.length, 2, status.out)

    const before = (yield* flaredb("status", "--json")).out.trim().split("\n").map((line) => JSON.parse(line))
    const leader = before.find(({ role }) => role === "leader").nodeId
    const follower = before.find(({ role }) => role === "follower").endpoint
    const alone = yield* flaredb("status", "--endpoints", follower)
    assert.strictEqual(alone.code, 0, alone.err)
    const target = (leader % 3) + 1
    assert.strictEqual((yield* asProcess("transfer-leader", "--to", String(target))).out, `node ${target} leads\n`)
  }).pipe(Effect.provide(NodeServices.layer)))

it.live("watch prints changes until it is stopped, and compact takes the past away", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(1)
    yield* Cluster.start(cluster)
    const { asProcess, flaredb } = commandLineOf(cluster)
    for (const value of ["one", "two"]) yield* flaredb("put", "greeting", value)
    yield* flaredb("put", "greetings", "others")
    yield* flaredb("delete", "greeting")

    const past = yield* asProcess("watch", "greeting", "--key", "--from-revision", "1", "--limit", "3")
    assert.deepStrictEqual(past, {
      code: 0,
      out: "1\tput\tgreeting\tone\n2\tput\tgreeting\ttwo\n4\tdelete\tgreeting\n",
      err: ""
    })
    const json = yield* flaredb("watch", "gree", "--from-revision", "2", "--previous", "--json", "--limit", "1")
    const { at, position, ...event } = JSON.parse(json.out)
    assert.isFalse(Number.isNaN(Date.parse(at)), json.out)
    assert.match(position, /^[0-9a-f-]{36}@2$/)
    const on = yield* flaredb("watch", "gree", "--from", position, "--limit", "1")
    assert.deepStrictEqual(on, { code: 0, out: "3\tput\tgreetings\tothers\n", err: "" })
    const elsewhere = yield* flaredb("watch", "gree", "--from", "00000000-0000-4000-8000-000000000000@2")
    assert.strictEqual(elsewhere.code, 1)
    assert.match(elsewhere.err, /belongs to the cluster test .*make a new client/)
    const future = yield* flaredb("watch", "gree", "--from-revision", "1000")
    assert.strictEqual(future.code, 1)
    assert.match(future.err, /revision 1000 is not the next one: the last revision is 4/)
    assert.deepStrictEqual(event, {
      revision: 2,
      type: "put",
      key: "greeting",
      value: "two",
      createRevision: 1,
      modRevision: 2,
      version: 2,
      previous: { value: "one", createRevision: 1, modRevision: 1, version: 1 }
    })
    const none = yield* asProcess("watch", "nothing", "--limit", "1", "--timeout", "1s")
    assert.deepStrictEqual(none, { code: 1, out: "", err: "flaredb: there were 0 of 1 events within 1s\n" })

    const going = yield* ChildProcess.make(process.execPath, [launcher, "watch", "--from-revision", "4"], {
      env: cleanEnv({ FLAREDB_ENDPOINTS: cluster.endpointList }),
      extendEnv: true,
      stdin: "ignore"
    })
    const line = yield* Stream.runHead(Stream.splitLines(Stream.decodeText(going.stdout)))
    assert.deepStrictEqual(line, Option.some("4\tdelete\tgreeting"))
    process.kill(going.pid, "SIGINT")
    assert.strictEqual(Number(yield* going.exitCode), 0)

    assert.strictEqual(
      (yield* flaredb("compact", "1")).out,
      "history before revision 1 was gone already; nothing changed\n"
    )
    assert.strictEqual((yield* asProcess("compact", "3")).out, "history before revision 3 is gone\n")
    const gone = yield* asProcess("watch", "--from-revision", "2")
    assert.strictEqual(gone.code, 1)
    assert.match(gone.err, /revision 2 is gone from the history, which begins at 3/)
    const kept = yield* flaredb("watch", "--from-revision", "3", "--limit", "1")
    assert.strictEqual(kept.out, "3\tput\tgreetings\tothers\n")
    // What was forgotten before is no news.
    for (const revision of ["0", "1", "2", "3"]) {
      const again = yield* flaredb("compact", revision)
      assert.strictEqual(again.out, "history before revision 3 was gone already; nothing changed\n")
    }
    assert.strictEqual((yield* flaredb("compact", "1", "--json")).out, "{\"revision\":3,\"already\":true}\n")
    assert.strictEqual((yield* flaredb("compact")).out, "history before revision 4 is gone\n")
    assert.match((yield* flaredb("compact")).out, /before revision 4 was gone already/)
    assert.strictEqual((yield* asProcess("compact", "5")).code, 2)
  }).pipe(Effect.provide(NodeServices.layer)))

it.live("inspect reads a stopped node, and RocksDB's own tool finds its column families", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(1)
    yield* Cluster.start(cluster)
    const { asProcess } = commandLineOf(cluster)
    yield* asProcess("put", "key", "value")
    const node = cluster.node(1)
    assert.strictEqual(yield* node.stop("SIGTERM"), 0)

    const found = yield* asProcess("inspect", node.dataDir, "--json", "--entries", "10")
    assert.strictEqual(found.code, 0, found.err)
    const [summary, ...entries] = found.out.trim().split("\n").map((line) => JSON.parse(line))
    assert.deepInclude(summary, { clusterId: "test", nodeId: 1, voters: [1], firstIndex: 1, lastIndex: 5 })
    assert.match(summary.identity, /^[0-9a-f-]{36}$/)
    assert.deepStrictEqual(entries.map(({ entry }) => entry), [
      "noop",
      `cluster identity ${summary.identity}`,
      "open a session of 5m",
      "put \"key\", 5 bytes (session 3, number 1)",
      "close the session (session 3, number 2)"
    ])

    const files = yield* FileSystem.FileSystem
    const copy = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-copy-" })
    yield* files.copy(node.dataDir, `${copy}/db`)
    try {
      const families = execFileSync("ldb", ["list_column_families", `--db=${copy}/db`], { encoding: "utf8" })
      for (const family of ["raft_log", "raft_state", "state_a", "state_b"]) assert.include(families, family)
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error
      process.stdout.write("ldb (Debian's rocksdb-tools) is not installed: its part of this test was left out\n")
    }
  }).pipe(Effect.provide(NodeServices.layer)))
