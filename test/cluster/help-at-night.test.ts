/** What an operator runs when something is wrong: against a cluster of which a node is lost, with data that is secret. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem } from "effect"
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { formatNodes } from "../../src/config/NodeAddress.ts"
import { formatToken } from "../../src/kv/model/access/Token.ts"
import { secretsIn } from "../../tools/secrets/Scan.ts"
import { eventually } from "../Eventually.ts"
import * as Cluster from "./Cluster.ts"
import { cleanEnv, launcher, run } from "./Flaredb.ts"
import { halfWay } from "./HalfWay.ts"

const json = (text: string): ReadonlyArray<Record<string, unknown>> =>
  text.trim().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))

const planted = { key: "customer/4711/iban", value: "DE02120300000000202051" }

/** `top` in a terminal that the program `script` makes; `end` ends it, and gets its process. */
const inTerminal = (nodes: string, end: (send: (keys: string) => void, pid: number) => void) =>
  Effect.callback<{ readonly code: number | null; readonly out: string }>((resume) => {
    const command = `echo PID $$; exec ${process.execPath} ${launcher} top --interval 200ms --nodes ${nodes}`
    const child = spawn("script", ["-qec", `sh -c '${command}'`, "/dev/null"], {
      env: { ...process.env, ...cleanEnv({}), TERM: "xterm" },
      stdio: ["pipe", "pipe", "ignore"]
    })
    let out = ""
    let ended = false
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text
      if (ended || !/leads term/.test(out)) return
      ended = true
      end((keys) => void child.stdin.write(keys), Number(/PID (\d+)/.exec(out)?.[1]))
    })
    child.once("close", (code) => resume(Effect.succeed({ code, out })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const left = "\u001b[?25h\u001b[?1049l"

it.live(
  "doctor, top and a bundle tell of a cluster that has lost a node, and nothing of what is in it",
  () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-night-" })
      const cluster = yield* Cluster.make(3)
      yield* Cluster.start(cluster)
      const nodes = formatNodes(cluster.nodes.map(({ address }) => address))
      yield* Effect.gen(function*() {
        const kv = yield* KeyValue
        for (let i = 0; i < 20; i++) yield* kv.put(`${planted.key}/${i}`, planted.value)
        const leader = yield* cluster.leader
        const dataDir = ["--data-dir", leader.dataDir]

        const table = yield* run(["top", "--once", "--nodes", nodes])
        assert.strictEqual(table.code, 0, table.err)
        assert.match(table.out, /^NODE +ROLE[^]*^1 +(?:leader|follower) +\d+ +\d+ +\d+ +[\d.]+ [^]*MiB/m)
        const healthy = yield* run(["doctor", "--nodes", nodes, "--json", "--no-disk", ...dataDir])
        // The machine of the test may have faults of its own.
        const failures = json(healthy.out).filter(({ status }) => status === "failure").map(({ name }) => String(name))
        assert.isEmpty(failures.filter((name) => /^(?:cluster|node)\b/.test(name)), healthy.out)
        assert.strictEqual(healthy.code, failures.length === 0 ? 0 : 1)
        const statuses = new Map(json(healthy.out).map(({ name, status }) => [name, status]))
        for (const name of ["cluster.nodes", "cluster.leader", "cluster.clocks", "node 1 to 2", "node 3 to 1"]) {
          assert.strictEqual(statuses.get(name), "ok", `${name}: ${healthy.out}`)
        }

        if (existsSync("/usr/bin/script")) {
          const quit = yield* inTerminal(nodes, (send) => send("\u001b[Bq"))
          assert.strictEqual(quit.code, 0)
          const killed = yield* inTerminal(nodes, (_, pid) => process.kill(pid, "SIGTERM"))
          for (const { out } of [quit, killed]) {
            assert.include(out, "\u001b[?1049h")
            assert.isTrue(out.endsWith(left), JSON.stringify(out.slice(-60)))
          }
        }

        const [lost] = yield* cluster.followers
        if (lost === undefined) return assert.fail("no follower")
        yield* lost.stop("SIGKILL")
        const wounded = yield* run(["doctor", "--nodes", nodes, "--json", "--no-disk", ...dataDir])
        assert.strictEqual(wounded.code, 1)
        const found = new Map(json(wounded.out).map((check) => [check["name"], check]))
        assert.strictEqual(found.get("cluster.nodes")?.["status"], "warning")
        assert.strictEqual(found.get(`node ${lost.id} ports`)?.["status"], "failure")
        const text = yield* run(["doctor", "--nodes", nodes, "--no-disk", ...dataDir])
        assert.match(text.out, /^FAILURE +node \d ports[^]*do: is the node up/m)
        assert.match(text.err, /^flaredb: \d+ failures?$/m)

        const token = formatToken("shop", new Uint8Array(32).fill(9))
        const log = `${folder}/node.log`
        yield* files.writeFileString(
          log,
          [
            JSON.stringify({ message: `the row of "${planted.key}" is odd`, level: "WARN" }),
            `refused ${token}`,
            `"${planted.key}" = "${planted.value}"`
          ].join("\n")
        )
        const bundle = `${folder}/support.tar.gz`
        const args = ["support-bundle", bundle, "--nodes", nodes, "--no-disk", "--log", log, "--json", ...dataDir]
        const made = yield* run(args, { env: { FLAREDB_TOKEN: token } })
        assert.strictEqual(made.code, 0, made.err)
        const [told] = json(made.out)
        assert.match(String(told?.["problems"]), new RegExp(`nodes/${lost.id}/metrics.txt: `))
        const content = gunzipSync(readFileSync(bundle)).toString("latin1")
        for (const part of ["manifest.json", "doctor.jsonl", "reports.json", "directory.txt", "logs/1-node.log"]) {
          assert.include(content, `flaredb-support/${part}`)
        }
        assert.include(content, `flaredb-support/nodes/${leader.id}/debug-raft.json`)
        assert.match(content, /"FLAREDB_TOKEN": "\(set\)"/)
        for (const secret of [planted.key, planted.value, token.slice(9, 50)]) {
          assert.notInclude(content, secret)
        }
        assert.isEmpty(content.split("\n").flatMap(secretsIn))
        const again = yield* run(args)
        assert.strictEqual(again.code, 2)
      }).pipe(Effect.scoped, Effect.provide(Cluster.client(cluster)))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
  300_000
)

/** Runs a backup into `dir` that gets no further than its middle, kills it there, and gives the name of its file. */
const killedInTheMiddle = Effect.fnUntraced(function*(dir: string, args: ReadonlyArray<string>) {
  const child = spawn(process.execPath, [launcher, ...args], {
    env: { ...process.env, ...cleanEnv({}) },
    stdio: "ignore"
  })
  const gone = new Promise<number | null>((resolve) => child.once("close", resolve))
  const partial = `${dir}/taking.flaredb.partial-${child.pid}`
  yield* eventually("a part of the backup, or its end", () => existsSync(partial) || child.exitCode !== null)
  child.kill("SIGKILL")
  assert.isNull(yield* Effect.promise(() => gone), "it ended before it could be killed")
  return partial
})

/** Runs a backup into `dir` that gets no further than its middle, where `lose` happens, and holds how it fails. */
const lostInTheMiddle = Effect.fnUntraced(
  function*(dir: string, args: ReadonlyArray<string>, lose: Effect.Effect<void>) {
    const before = readdirSync(dir)
    const running = yield* Effect.forkScoped(run(args))
    // Its file is there before any node is asked.
    const received = () =>
      readdirSync(dir).some((name) => name.includes(".partial-") && statSync(`${dir}/${name}`).size > 500_000)
    yield* eventually("a part of the backup", received)
    yield* lose
    const { code, err } = yield* Fiber.join(running)
    assert.strictEqual(code, 1, err)
    assert.match(err, /^flaredb: .* in the middle of the backup, which is not whole\. Take it again/m)
    assert.deepStrictEqual(readdirSync(dir), before)
  }
)

it.live(
  "backups on a schedule survive kill -9, are verified and drilled, and go back to a moment between two",
  () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-night-" })
      const dir = `${folder}/backups`
      yield* files.makeDirectory(dir)
      const cluster = yield* Cluster.make(1)
      yield* Cluster.start(cluster)
      const to = ["--endpoints", cluster.endpointList]
      const half = yield* halfWay(cluster.node(1).endpoint.port, 2 * 1024 * 1024)
      const once = ["backups", "run", "--once", "--dir", dir, "--metrics-file", `${folder}/flaredb.prom`, ...to]
      const onceHalf = once.map((word) => word === cluster.endpointList ? half : word)
      const named = Effect.map(files.readDirectory(dir), (all) => all.filter((name) => name.startsWith("test-")).sort())
      const state = yield* Effect.gen(function*() {
        const kv = yield* KeyValue
        for (let i = 0; i < 12; i++) yield* kv.put(`large/${i}`, randomBytes(1024 * 1024))
        const first = yield* run([...once, "--json"])
        assert.strictEqual(first.code, 0, first.err)
        assert.match(
          readFileSync(`${folder}/flaredb.prom`, "utf8"),
          /^flaredb_backup_attempt_succeeded\{cluster="test"\} 1$/m
        )
        const base = `${dir}/${(yield* named)[0]}`

        // A backup is no worse for a file of metrics that cannot be written.
        yield* files.makeDirectory(`${folder}/others`)
        const nowhere = ["--dir", `${folder}/others`, "--metrics-file", `${folder}/none/flaredb.prom`]
        const unreported = yield* run(["backups", "run", "--once", ...nowhere, ...to])
        assert.strictEqual(unreported.code, 0, unreported.err)
        assert.match(unreported.err, /^flaredb: no metrics of the schedule: .* cannot be written/m)

        yield* lostInTheMiddle(dir, onceHalf, cluster.node(1).pause)
        yield* cluster.node(1).resume
        const partial = yield* killedInTheMiddle(dir, onceHalf)
        assert.isTrue(existsSync(partial))
        assert.deepStrictEqual((yield* named).map((name) => `${dir}/${name}`), [base])

        const { revision } = yield* kv.put("kept", "1")
        for (let i = 0; i < 12; i++) yield* kv.delete(`large/${i}`)
        yield* kv.put("kept", "2")
        const second = yield* run([...once, "--keep-last", "2"])
        assert.strictEqual(second.code, 0, second.err)
        assert.isFalse(existsSync(partial))
        assert.lengthOf(yield* named, 2)
        const compared = yield* run(["backups", "verify", base, "--json", ...to])
        assert.strictEqual(compared.code, 0, compared.err)
        assert.deepInclude(json(compared.out)[0], {
          equal: 0,
          deletedSince: 12,
          changedSince: 1,
          differing: 0,
          missing: 0
        })
        const later = `${dir}/${(yield* named).find((name) => `${dir}/${name}` !== base)}`
        return { base, later, revision }
      }).pipe(Effect.scoped, Effect.provide(Cluster.client(cluster)))

      // One at a time: the service holds the folder, and ends with success when it is stopped.
      const service = spawn(process.execPath, [launcher, ...once.filter((word) => word !== "--once")], {
        env: { ...process.env, ...cleanEnv({}) },
        stdio: "ignore"
      })
      const ended = new Promise<number | null>((resolve) => service.once("close", resolve))
      yield* eventually("the lock of the folder", () => existsSync(`${dir}/.flaredb-backups.lock`))
      const refused = yield* run(once)
      assert.strictEqual(refused.code, 1)
      assert.include(refused.err, `process ${service.pid} of `)
      service.kill("SIGTERM")
      assert.strictEqual(yield* Effect.promise(() => ended), 0)
      assert.isFalse(existsSync(`${dir}/.flaredb-backups.lock`))

      yield* lostInTheMiddle(dir, onceHalf, Effect.asVoid(cluster.node(1).stop("SIGKILL")))
      const at = `${folder}/at.flaredb`
      const made = yield* run([
        "backups",
        "at",
        state.base,
        state.later,
        "--revision",
        String(state.revision),
        "--output",
        at
      ])
      assert.strictEqual(made.code, 0, made.err)
      const drilled = yield* run(["backups", "drill", at, "--work", folder, "--json"])
      assert.strictEqual(drilled.code, 0, drilled.err)
      assert.deepInclude(json(drilled.out)[0], { keys: 13, revision: state.revision })
      assert.isEmpty((yield* files.readDirectory(folder)).filter((name) => name.startsWith("flaredb-drill")))
      const failing = yield* run(once, { env: { FLAREDB_TIMEOUT_MS: "500" } })
      assert.strictEqual(failing.code, 1)
      assert.match(
        readFileSync(`${folder}/flaredb.prom`, "utf8"),
        /^flaredb_backup_attempt_succeeded\{cluster="test"\} 0$/m
      )
      assert.lengthOf(yield* named, 2)

      const [node] = cluster.nodes
      const reclaimed = yield* run(["reclaim", node?.dataDir ?? "", "--json"])
      assert.strictEqual(reclaimed.code, 0, reclaimed.err)
      const [sizes] = json(reclaimed.out)
      assert.isBelow(sizes?.["bytesAfter"] as number, sizes?.["bytesBefore"] as number)
      yield* Cluster.start(cluster)
      const value = yield* run(["get", "kept", ...to])
      assert.strictEqual(value.out, "2\n")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
  300_000
)
