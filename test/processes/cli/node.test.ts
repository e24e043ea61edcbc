/** The commands against a real node that the command line started: a cluster of one in a folder of its own. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, layer } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, FileSystem, Layer, Stream } from "effect"
import { freePorts } from "../../FreePorts.ts"
import type { RunOptions } from "./CommandLine.ts"
import { run, runInto, runUnread, spawn } from "./CommandLine.ts"
import { runInProcess } from "./InProcess.ts"

/** A node that runs, and what the commands need to reach it. */
class RunningNode extends Context.Service<RunningNode, {
  readonly args: ReadonlyArray<string>
  readonly endpoint: string
  readonly http: string
  readonly dataDir: string
  readonly firstLine: string
}>()("test/RunningNode") {}

const startArgs = (nodeId: number, ports: ReadonlyArray<number>, dataDir: string) => [
  "start",
  "--node-id",
  String(nodeId),
  "--nodes",
  `${nodeId}=127.0.0.1:${ports.join(":")}`,
  "--data-dir",
  dataDir
]

/** Starts a node and returns its first line of output, which says that it is ready. */
const startNode = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
  const handle = yield* spawn(args)
  const first = yield* Deferred.make<string>()
  const drain = handle.stdout.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.runForEach((line) => Deferred.succeed(first, line)),
    Effect.ignore
  )
  yield* Effect.forkScoped(drain)
  const log: Array<string> = []
  const keep = handle.stderr.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.runForEach((line) => Effect.sync(() => log.push(line))),
    Effect.ignore
  )
  yield* Effect.forkScoped(
    Effect.andThen(keep, Effect.sync(() => Deferred.doneUnsafe(first, Exit.succeed(`ended: ${log.join("\n")}`))))
  )
  return { handle, firstLine: yield* Deferred.await(first), log }
})

const Live = Layer.effect(
  RunningNode,
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const dataDir = `${yield* files.makeTempDirectoryScoped({ prefix: "flaredb-bin-" })}/node`
    const ports = yield* freePorts(3)
    const args = startArgs(1, ports, dataDir)
    const { firstLine } = yield* startNode(args)
    return { args, dataDir, firstLine, endpoint: `127.0.0.1:${ports[0]}`, http: `127.0.0.1:${ports[2]}` }
  })
).pipe(Layer.provideMerge(NodeServices.layer))

type Carry = (args: ReadonlyArray<string>) => ReturnType<typeof runInProcess>

/** Carries a command out on the node and expects an exit code. */
const expecting = (carry: Carry) => (code: number, args: ReadonlyArray<string>) =>
  Effect.flatMap(RunningNode, ({ endpoint }) =>
    Effect.map(carry([...args, "--endpoints", endpoint]), (ran) => {
      assert.strictEqual(ran.code, code, `flaredb ${args.join(" ")}\n${ran.out}${ran.err}`)
      return ran
    }))

const on = expecting((args) => runInProcess(args, { oneAtATime: true, asIs: true }))

/** The same in a process of its own, where bytes go through pipes. */
const asProcess = (code: number, args: ReadonlyArray<string>, options?: RunOptions) =>
  expecting((words) => Effect.orDie(run(words, options)))(code, args)

describe("a node that flaredb start runs", () => {
  layer(Live, { excludeTestServices: true, timeout: 300_000 })((it) => {
    it.effect("says first that it is ready, with its addresses", () =>
      Effect.gen(function*() {
        const { endpoint, firstLine, http } = yield* RunningNode
        assert.match(firstLine, /^READY \{/)
        assert.deepInclude(JSON.parse(firstLine.slice("READY ".length)) as object, {
          nodeId: 1,
          client: endpoint,
          http
        })
      }), 300_000)

    it.effect(
      "keeps what is put, prints it, and says when it is not there with exit code 3",
      () =>
        Effect.gen(function*() {
          assert.match((yield* asProcess(0, ["put", "greeting", "hello"])).out, /^created at revision \d+\n$/)
          assert.match((yield* on(0, ["put", "greeting", "hello, world"])).out, /^updated at revision \d+\n$/)
          assert.strictEqual((yield* asProcess(0, ["get", "greeting"])).out, "hello, world\n")
          assert.strictEqual((yield* on(0, ["get", "greeting", "--stale"])).out, "hello, world\n")
          const { out } = yield* on(0, ["get", "greeting", "--json"])
          assert.deepInclude(JSON.parse(out) as object, { key: "greeting", value: "hello, world", version: 2 })
          yield* on(0, ["delete", "greeting"])
          for (const verb of ["get", "delete"]) {
            const { err, out } = yield* asProcess(3, [verb, "greeting"])
            assert.strictEqual(out, "")
            assert.strictEqual(err, "flaredb: the key \"greeting\" does not exist\n")
          }
        }),
      300_000
    )

    it.effect(
      "reads a value from standard input, and prints bytes that are no text into a pipe as they are",
      () =>
        Effect.gen(function*() {
          yield* asProcess(0, ["put", "bytes", "-"], { stdin: new Uint8Array([0xff, 0x00, 0xfe]) })
          assert.strictEqual((yield* asProcess(0, ["get", "bytes"])).out, "\ufffd\u0000\ufffd")
          assert.strictEqual((yield* on(0, ["get", "6279746573", "--encoding", "hex"])).out, "ff00fe\n")
          assert.match(
            (yield* asProcess(2, ["put", "large", "-"], { stdin: new Uint8Array(1024 * 1024 + 1) })).err,
            /more than 1048576 bytes/
          )
        }),
      300_000
    )

    it.effect("scans in pages, each telling where the next begins", () =>
      Effect.gen(function*() {
        for (const key of ["s/1", "s/2", "s/3"]) yield* on(0, ["put", key, key.toUpperCase()])
        const first = yield* on(0, ["scan", "s/", "--limit", "2"])
        assert.strictEqual(first.out, "s/1\tS/1\ns/2\tS/2\n")
        assert.match(first.err, /--cursor s\/2\n/)
        const second = yield* on(0, ["scan", "s/", "--cursor", "s/2", "--keys-only"])
        assert.deepStrictEqual([second.out, second.err], ["s/3\n", ""])
        assert.strictEqual((yield* on(0, ["scan", "nothing/"])).out, "")
      }), 300_000)

    it.effect("is the leader in the table of flaredb status, and in its JSON", () =>
      Effect.gen(function*() {
        assert.match((yield* on(0, ["status"])).out, /^ENDPOINT .*\n127\.0\.0\.1:\d+ +1 +leader /)
        const [line = ""] = (yield* on(0, ["status", "--json"])).out.split("\n")
        assert.deepInclude(JSON.parse(line) as object, { nodeId: 1, role: "leader", leader: 1 })
      }), 300_000)

    it.effect("shows no control characters of keys and values unless --raw is given", () =>
      Effect.gen(function*() {
        const key = "esc/\u001b[2J\u009b\u202e"
        const value = "a\tb\n\u001b]0;title\u0007"
        const shown = "esc/\\u001b[2J\\u009b\\u202e"
        const watch = ["watch", "esc/", "--from-revision", "1", "--limit", "1"]
        yield* on(0, ["put", key, value])
        assert.strictEqual(
          (yield* on(0, ["scan", "esc/"])).out,
          `${shown}\ta\\tb\\n\\u001b]0;title\\u0007\n`
        )
        assert.strictEqual((yield* on(0, ["scan", "esc/", "--raw"])).out, `${key}\t${value}\n`)
        assert.strictEqual((yield* on(0, watch)).out.split("\t")[2], shown)
        assert.strictEqual((yield* on(0, [...watch, "--raw"])).out.split("\t")[2], key)
        // A pipe takes a value as it is.
        assert.strictEqual((yield* asProcess(0, ["get", key])).out, `${value}\n`)
        for (const args of [["get", key], ["scan", "esc/"], watch]) {
          const { out } = yield* on(0, [...args, "--json"])
          assert.notMatch(out.trimEnd(), /[\p{Cc}\u202e]/u, args.join(" "))
          assert.deepInclude(JSON.parse(out), { key, value })
        }
        const missing = yield* on(3, ["get", "no/\u001b[2J\u009b"])
        assert.notMatch(missing.err.trimEnd(), /\p{Cc}/u)
      }), 300_000)

    it.effect(
      "tells when standard output cannot be written, and ends quietly when its reader has gone",
      () =>
        Effect.gen(function*() {
          const { args, endpoint } = yield* RunningNode
          yield* on(0, ["put", "out/1", "x".repeat(1_000)])
          // One of each way to print; `test/architecture/standard-output.test.ts` holds that there are no others.
          const kinds = [
            // A line, after a write.
            ["put", "out/2", "1"],
            // An object.
            ["get", "out/1", "--json"],
            // Rows, as text and as objects, each taken before the next are made.
            ["scan", "out/"],
            ["scan", "out/", "--json"],
            // What would go on.
            ["watch", "out/", "--from-revision", "1"],
            // A table, at the end of a call to each node.
            ["verify"],
            // The bytes of a file.
            ["backup", "-"]
          ]
          const verbs = [
            ...kinds.map((verb) => verb.concat("-e", endpoint)),
            // Those without a connection, by themselves and by the framework.
            ["config", "check", ...args.slice(1)],
            ["--help"]
          ]
          const check = (verb: ReadonlyArray<string>) =>
            Effect.gen(function*() {
              const full = yield* runInto("/dev/full", verb)
              assert.strictEqual(full.code, 1, `${verb.join(" ")}: ${full.err}`)
              assert.match(
                full.err,
                /standard output cannot be written: its file system is full \(ENOSPC\); what was printed/,
                `${verb.join(" ")}: ${full.err}`
              )
              const closed = yield* runInto("a closed pipe", verb)
              assert.deepStrictEqual(closed, { code: 141, err: "" }, verb.join(" "))
            })
          yield* Effect.forEach(verbs, check, { discard: true })
        }),
      240_000
    )

    it.effect(
      "keeps a second node off its ports and off its directory, which says so in one line",
      () =>
        Effect.gen(function*() {
          const { args, dataDir, endpoint } = yield* RunningNode
          const samePlace = yield* run(args, { env: { FLAREDB_MAX_WATCHERS: "9" } })
          assert.strictEqual(samePlace.code, 1)
          assert.match(samePlace.err, /FLAREDB_MAX_WATCHERS is no setting and is ignored/)
          assert.match(samePlace.err.trimEnd().split("\n").at(-1) ?? "", /^flaredb: .*(locked|in use)/)
          const other = yield* freePorts(2)
          const ports = [Number(endpoint.split(":")[1]), ...other]
          const samePort = yield* run(startArgs(1, ports, `${dataDir}-2`))
          assert.strictEqual(samePort.code, 1)
          assert.match(
            samePort.err.trimEnd().split("\n").at(-1) ?? "",
            new RegExp(`^flaredb: the client address ${endpoint} is in use; .*another client port`)
          )
        }),
      300_000
    )
  })

  layer(NodeServices.layer, { excludeTestServices: true })((it) => {
    it.effect("goes on when whoever read its output has gone", () =>
      Effect.gen(function*() {
        const files = yield* FileSystem.FileSystem
        const dataDir = `${yield* files.makeTempDirectoryScoped({ prefix: "flaredb-bin-" })}/node`
        const ports = yield* freePorts(3)
        const { code, lives } = yield* runUnread(startArgs(1, ports, dataDir), ports[0] as number, ports[2] as number)
        assert.isTrue(lives)
        assert.strictEqual(code, 0)
      }), 300_000)

    it.effect(
      "ends on SIGTERM with exit code 0, and another node may not have its directory",
      () =>
        Effect.gen(function*() {
          const files = yield* FileSystem.FileSystem
          const dataDir = `${yield* files.makeTempDirectoryScoped({ prefix: "flaredb-bin-" })}/node`
          const ports = yield* freePorts(3)
          const { firstLine, handle } = yield* startNode(startArgs(1, ports, dataDir))
          assert.match(firstLine, /^READY /)
          const running = yield* runInProcess(["inspect", dataDir])
          if (process.platform === "linux") {
            assert.include(
              running.err,
              `process ${handle.pid} uses ${dataDir}: what is read here may be of different times`
            )
          }
          process.kill(handle.pid, "SIGTERM")
          assert.strictEqual(Number(yield* handle.exitCode), 0)

          const inspected = yield* run(["inspect", dataDir, "--json"])
          assert.strictEqual(inspected.code, 0, inspected.err)
          assert.strictEqual(inspected.err, "")
          assert.deepInclude(JSON.parse(inspected.out) as object, { clusterId: "local", nodeId: 1, voters: [1] })

          const foreign = yield* run(startArgs(2, ports, dataDir))
          assert.strictEqual(foreign.code, 1)
          assert.match(foreign.err.trimEnd().split("\n").at(-1) ?? "", /^flaredb: refused to open .*node 2.*node 1/)
          assert.notInclude(foreign.out, "READY")
        }),
      300_000
    )
  })
})
