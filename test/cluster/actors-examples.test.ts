/** The actors' examples where they are meant to run: on databases in other processes. The programs are the same. */
import { it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import { afterAll, beforeAll } from "vitest"
import * as PostgresBackEnd from "../../examples/actors/Postgres.ts"
import { suite } from "../examples/actors/Suite.ts"
import { freePorts } from "./FreePorts.ts"
import * as Postgres from "./Postgres.ts"

if (!Postgres.isInstalled()) {
  it.skip(`the examples on PostgreSQL: ${Postgres.howToInstall}`, () => {})
} else {
  const scope = Scope.makeUnsafe()
  let postgres: Postgres.Postgres
  beforeAll(async () => {
    postgres = await Effect.runPromise(Scope.provide(Postgres.start, scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  let databases = 0
  /** Each test has a database of its own. */
  const layer = Layer.unwrap(Effect.gen(function*() {
    const database = yield* postgres.database(`examples_${++databases}`)
    const [port = 0] = yield* freePorts(1)
    const { host, port: server, username } = postgres
    return PostgresBackEnd.layer({
      database: { host, port: server, username, database },
      runner: { host, port },
      sharding: { entityMessagePollInterval: "200 millis" }
    })
  }))
  suite("PostgreSQL", layer)
}
