/**
 * One runner of the bank, the orders and the nightly report: as many as you like share the work, and the others take
 * over what one had that ends.
 *
 *   npx node examples/actors/runner.ts --port 34431 --postgres postgres://user@127.0.0.1:5432/actors
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Layer, Redacted } from "effect"
import { Command, Flag } from "effect/cli"
import * as Bank from "./Bank.ts"
import * as Nightly from "./Nightly.ts"
import * as Postgres from "./Postgres.ts"

const runner = Command.make("runner", {
  port: Flag.Int("port").pipe(Flag.withDescription("where the other runners reach this one, on 127.0.0.1")),
  postgres: Flag.String("postgres").pipe(Flag.withDescription("URL of the PostgreSQL")),
  lockExpiration: Flag.Int("lock-expiration").pipe(
    Flag.withDescription("seconds after which a runner that is not heard of has lost its entities"),
    Flag.withDefault(5)
  )
}, ({ lockExpiration, port, postgres }) => {
  const backEnd = Postgres.layer({
    database: { url: Redacted.make(postgres) },
    runner: { host: "127.0.0.1", port },
    sharding: Postgres.takeOverAfter(lockExpiration)
  })
  const actors = Layer.mergeAll(Bank.Accounts, Nightly.reports("0 3 * * *"))
  return Effect.andThen(Console.log("READY"), Effect.never).pipe(
    Effect.provide(Layer.provide(actors, backEnd))
  )
})

runner.pipe(Command.run({ version: "1" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
