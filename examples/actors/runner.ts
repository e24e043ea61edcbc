/**
 * One runner of the bank and the nightly report: as many as you like share the work, and the others take over what one
 * had that ends.
 *
 *   npx node examples/actors/runner.ts --port 34431 --flaredb 127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003
 *   npx node examples/actors/runner.ts --port 34431 --postgres postgres://user@127.0.0.1:5432/actors
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Layer, Option, Redacted } from "effect"
import { Command, Flag } from "effect/cli"
import { formatEndpoint, localEndpoints, parseEndpoints } from "flaredb/client"
import type { BackEnd } from "./BackEnd.ts"
import * as Bank from "./Bank.ts"
import * as FlareDb from "./FlareDb.ts"
import * as Nightly from "./Nightly.ts"
import * as Postgres from "./Postgres.ts"

const runner = Command.make("runner", {
  port: Flag.Int("port").pipe(Flag.withDescription("where the other runners reach this one, on 127.0.0.1")),
  flaredb: Flag.String("flaredb").pipe(
    Flag.withDescription("endpoints of FlareDB, the local cluster without them"),
    Flag.withDefault(localEndpoints.map(formatEndpoint).join(","))
  ),
  postgres: Flag.String("postgres").pipe(Flag.withDescription("URL of a PostgreSQL, in its place"), Flag.optional),
  lockExpiration: Flag.Int("lock-expiration").pipe(
    Flag.withDescription("on PostgreSQL: seconds after which a runner that is not heard of has lost its entities"),
    Flag.withDefault(5)
  )
}, ({ flaredb, lockExpiration, port, postgres }) => {
  const address = { host: "127.0.0.1", port }
  const backEnd: BackEnd<unknown> = Option.match(postgres, {
    onNone: () =>
      Layer.unwrap(
        Effect.map(parseEndpoints(flaredb), (endpoints) => FlareDb.layer({ endpoints, runner: address }))
      ),
    onSome: (url) =>
      Postgres.layer({
        database: { url: Redacted.make(url) },
        runner: address,
        sharding: Postgres.takeOverAfter(lockExpiration)
      })
  })
  const actors = Layer.mergeAll(Bank.Accounts, Nightly.reports("0 3 * * *"))
  return Effect.andThen(Console.log("READY"), Effect.never).pipe(Effect.provide(Layer.provide(actors, backEnd)))
})

runner.pipe(Command.run({ version: "1" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
