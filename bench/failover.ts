/**
 * `npm run bench:failover [-- --kills 30] [--peers] [--tls]`: `kill -9` of the leader, again and again, and how long it takes until the
 * next write is committed. With `--peers` etcd is treated alike, with like time-outs: heartbeats every 100 ms, elections after
 * 500 to 1000 ms without one, and a client that tries every member that is left, again every 100 ms, until one has committed.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Fiber } from "effect"
import { Command, Flag } from "effect/cli"
import { machine } from "../src/cli/bench/Report.ts"
import { table } from "../src/cli/output/Table.ts"
import type { ClientOptions } from "../src/client/index.ts"
import { KeyValue } from "../src/client/index.ts"
import * as FlareDb from "../src/FlareDb.ts"
import { certify } from "../test/cluster/Certified.ts"
import * as Cluster from "../test/cluster/Cluster.ts"
import { summarize } from "../test/cluster/Figures.ts"
import * as Etcd from "./peers/Etcd.ts"

/** Writes before each kill, so that it finds a cluster at work. */
const writesBefore = 20

/**
 * How long etcd may take over one attempt, in milliseconds. A write that a member passed on to the leader that is gone ends only
 * after six seconds, which would measure the patience of the client.
 */
const attemptMs = 100

const flaredbKills = Effect.fnUntraced(function*(kills: number, tls: boolean) {
  const cluster = yield* Cluster.make(3)
  const client: ClientOptions = {
    endpoints: cluster.endpoints,
    requestTimeoutMs: 30_000,
    tls: tls ? yield* certify(cluster) : undefined
  }
  yield* Cluster.start(cluster)
  return yield* Effect.gen(function*() {
    const kv = yield* KeyValue
    const pauses: Array<number> = []
    for (let i = 0; i < kills; i++) {
      const leader = yield* cluster.leader
      for (let k = 0; k < writesBefore; k++) yield* kv.put("failover", `${i}.${k}`)
      const killed = performance.now()
      const stopping = yield* Effect.forkChild(leader.stop("SIGKILL"), { startImmediately: true })
      yield* kv.put("failover", `${i}`)
      pauses.push(performance.now() - killed)
      yield* Fiber.join(stopping)
      yield* leader.start
      // The next kill is to find three nodes that have everything.
      yield* cluster.until((reports) =>
        reports.length === 3 && new Set(reports.map(({ applied }) => applied)).size === 1 &&
        reports.some(({ role }) => role === "leader")
      )
    }
    return pauses
  }).pipe(Effect.provide(FlareDb.layerClient(client)))
}, Effect.scoped)

const etcdKills = Effect.fnUntraced(function*(kills: number) {
  const pauses: Array<number> = []
  for (let i = 0; i < kills; i++) {
    pauses.push(
      yield* Effect.scoped(Effect.gen(function*() {
        const etcd = yield* Etcd.start({ "heartbeat-interval": 100, "election-timeout": 500 })
        const [leader = "", ...others] = yield* etcd.endpoints
        for (let k = 0; k < writesBefore; k++) yield* Etcd.put(leader, "failover", `${i}.${k}`)
        const killed = performance.now()
        etcd.members.find(({ client }) => client === leader)?.process.kill("SIGKILL")
        const attempt = (other: string) => Effect.timeout(Etcd.put(other, "failover", `${i}`), attemptMs)
        yield* Effect.raceAll(others.map((other) => Effect.eventually(attempt(other))))
        return performance.now() - killed
      }))
    )
  }
  return pauses
})

const row = (name: string, pauses: ReadonlyArray<number>): ReadonlyArray<string> => {
  const { count, max, p50, p99 } = summarize(pauses)
  return [name, String(count), p50.toFixed(0), p99.toFixed(0), max.toFixed(0)]
}

const failover = Command.make("bench:failover", {
  kills: Flag.Int("kills").pipe(Flag.withDefault(30)),
  peers: Flag.Boolean("peers").pipe(Flag.withDefault(false)),
  tls: Flag.Boolean("tls").pipe(
    Flag.withDescription("FlareDB's nodes and clients have certificates"),
    Flag.withDefault(false)
  )
}, ({ kills, peers, tls }) =>
  Effect.gen(function*() {
    if (peers && !Etcd.isInstalled()) return yield* Effect.fail(new Error(Etcd.howToInstall))
    const rows = [row("FlareDB", yield* flaredbKills(kills, tls))]
    if (peers) rows.push(row("etcd", yield* etcdKills(kills)))
    yield* Console.log(`${machine()}; kill -9 of the leader to the next committed write, milliseconds`)
    yield* Console.log(table([["", "KILLS", "P50", "P99", "MAX"], ...rows]))
  }))

failover.pipe(Command.run({ version: "1" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
