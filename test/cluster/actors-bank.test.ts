/** The bank while its runners are killed: every transfer that was accepted moved its money once, and no other did. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import * as Bank from "../../examples/actors/Bank.ts"
import * as FlareDbBackEnd from "../../examples/actors/FlareDb.ts"
import * as PostgresBackEnd from "../../examples/actors/Postgres.ts"
import * as Cluster from "./Cluster.ts"
import { freePorts } from "../FreePorts.ts"
import * as Postgres from "./Postgres.ts"

const program = fileURLToPath(new URL("../../examples/actors/runner.ts", import.meta.url))

/** Seconds. */
const lockExpiration = 3

/** A runner in a process of its own, on a free port; it says when it has its entities. */
const runner = (flags: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      const [port = 0] = yield* freePorts(1)
      const child = spawn(
        process.execPath,
        [program, "--port", String(port), ...flags],
        { stdio: ["ignore", "pipe", "ignore"] }
      )
      const ready = yield* Deferred.make<void, Error>()
      let output = ""
      child.stdout.on("data", (bytes: Buffer) => {
        output += String(bytes)
        if (output.includes("READY")) Deferred.doneUnsafe(ready, Effect.void)
      })
      child.on("exit", () => Deferred.doneUnsafe(ready, Effect.fail(new Error(`the runner ended: ${output}`))))
      yield* Deferred.await(ready)
      return child
    }),
    kill
  )

const kill = (child: ChildProcess) =>
  Effect.promise(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, "exit")
    child.kill("SIGKILL")
    await ended
  })

const accounts = Array.from({ length: 10 }, (_, i) => `account ${i}`)
const at = (i: number) => accounts[i % accounts.length] as string
const transfers = Array.from({ length: 100 }, (_, i): Bank.Transfer => ({
  transfer: `t${i}`,
  from: at(i),
  to: at(i * 7 + 1),
  cents: i % 10 === 0 ? 1_000_000 : 100 + i
}))

/** Makes the transfers, does what it is told in the midst of them, and looks at every account. */
const bank = <E, R>(inTheMidst: Effect.Effect<unknown, E, R>) =>
  Effect.gen(function*() {
    const opened = yield* Bank.open(accounts)
    const outcomes = yield* Effect.forEach(
      transfers,
      (transfer, i) => Effect.andThen(i === 30 ? inTheMidst : Effect.void, Bank.transfer(transfer)),
      { concurrency: 16 }
    )
    const accepted = transfers.filter((_, i) => outcomes[i])
    assert.strictEqual(accepted.length, 90)
    yield* Bank.settled(Bank.books(opened, accepted))
  })

it.live(
  "on FlareDB, no transfer is lost or made twice when a runner and the leading node are killed at work",
  () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make(3)
      yield* Cluster.start(cluster)
      const flags = ["--flaredb", cluster.endpointList]
      const [first] = yield* Effect.all([runner(flags), runner(flags)], { concurrency: "unbounded" })
      const bothKilled = Effect.gen(function*() {
        yield* kill(first)
        const leader = yield* cluster.leader
        yield* leader.stop("SIGKILL")
        yield* leader.start
      }).pipe(Effect.provide(Cluster.client(cluster)))
      yield* bank(bothKilled).pipe(
        Effect.provide(FlareDbBackEnd.layerClientOnly({ endpoints: cluster.endpoints }))
      )
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
  300_000
)

if (!Postgres.isInstalled()) {
  it.skip(`the bank on PostgreSQL: ${Postgres.howToInstall}`, () => {})
} else {
  it.live(
    "on PostgreSQL, no transfer is lost or made twice when a runner is killed at work",
    () =>
      Effect.gen(function*() {
        const { database, host, port, username } = yield* Postgres.start
        const name = yield* database("bank")
        const url = `postgres://${username}@${host}:${port}/${name}`
        const flags = ["--postgres", url, "--lock-expiration", String(lockExpiration)]
        // One after the other: the first makes the tables.
        const first = yield* runner(flags)
        yield* runner(flags)
        yield* bank(kill(first)).pipe(Effect.provide(PostgresBackEnd.layerClientOnly({
          database: { host, port, username, database: name },
          sharding: PostgresBackEnd.takeOverAfter(lockExpiration)
        })))
      }).pipe(Effect.scoped),
    300_000
  )
}
