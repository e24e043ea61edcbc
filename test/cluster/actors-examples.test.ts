/** The actors' examples where they are meant to run: on databases in other processes. The programs are the same. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import { afterAll, beforeAll } from "vitest"
import * as FlareDbBackEnd from "../../examples/actors/FlareDb.ts"
import * as PostgresBackEnd from "../../examples/actors/Postgres.ts"
import { suite } from "../examples/actors/Suite.ts"
import * as Cluster from "./Cluster.ts"
import { freePorts } from "../FreePorts.ts"
import * as Postgres from "./Postgres.ts"

let cluster: Cluster.Cluster
const nodes = Scope.makeUnsafe()
beforeAll(async () => {
  cluster = await Effect.runPromise(
    Effect.tap(Cluster.make(3), Cluster.start).pipe(Scope.provide(nodes), Effect.provide(NodeServices.layer))
  )
})
afterAll(() => Effect.runPromise(Scope.close(nodes, Exit.void)))

let prefixes = 0
/** Each test has a prefix of its own. */
const flaredb = Layer.unwrap(
  Effect.gen(function*() {
    const [port = 0] = yield* freePorts(1)
    const { endpoints } = cluster
    return FlareDbBackEnd.layer({
      endpoints,
      prefix: `examples-${++prefixes}/`,
      runner: { host: "127.0.0.1", port },
      sharding: { shardsPerGroup: 16 }
    })
  })
)
suite("three nodes of FlareDB", flaredb)

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
