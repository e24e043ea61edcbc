/** The back ends by name: the process or processes behind one, and the layer of a runner on it. */
import { Effect, Layer } from "effect"
import { parseEndpoints } from "flaredb/client"
import type { ActorServices } from "../../examples/actors/BackEnd.ts"
import * as FlareDbBackEnd from "../../examples/actors/FlareDb.ts"
import * as Memory from "../../examples/actors/Memory.ts"
import * as PostgresBackEnd from "../../examples/actors/Postgres.ts"
import { onOwnCluster } from "../../src/cli/bench/OwnCluster.ts"
import { identityOptions } from "../../src/cli/input/IdentityFlags.ts"
import { freePorts } from "../../test/FreePorts.ts"
import * as Postgres from "../../test/cluster/Postgres.ts"
import type { BackEnd, Target } from "./Points.ts"
import { State } from "./State.ts"

/**
 * Uses what is behind the back end, which is started for that, empty, and is there as long as the scope. `tls` is for
 * FlareDB alone.
 */
export const on = <A, E, R>(backEnd: BackEnd, tls: boolean, use: (target: Target) => Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    if (backEnd === "memory") return yield* use({ backEnd })
    if (backEnd === "flaredb") {
      return yield* onOwnCluster(tls, ({ endpoints, identity, nodes }) =>
        use({
          backEnd,
          endpoints,
          identity,
          pids: nodes.map(({ pid = 0 }) => pid),
          http: nodes.map(({ http }) => http)
        }))
    }
    const { database, host, pid, port, username } = yield* Postgres.start
    return yield* use({ backEnd, host, port, username, database: yield* database("bench"), pids: [pid] })
  })

/** What is missing to start it, if anything. */
export const missing = (backEnd: BackEnd): string | undefined =>
  backEnd === "sql-pg" && !Postgres.isInstalled() ? Postgres.howToInstall : undefined

/** The best of five settings in one round each on a busy machine (10 to 64, with and without multiplexing). */
const maxConnections = 32

/** A runner on it with the settings that it comes with: what they cost is part of what is compared. */
export const runner = (target: Target): Layer.Layer<ActorServices | State, unknown> => {
  if (target.backEnd === "memory") return Layer.provideMerge(State.layer, Memory.layer)
  if (target.backEnd === "flaredb") {
    return Layer.unwrap(Effect.gen(function*() {
      const [port = 0] = yield* freePorts(1)
      const endpoints = yield* parseEndpoints(target.endpoints)
      return Layer.provideMerge(
        State.layerFlareDb,
        FlareDbBackEnd.layer({
          client: yield* identityOptions(target.identity),
          endpoints,
          runner: { host: "127.0.0.1", port }
        })
      )
    }))
  }
  const { database, host, port, username } = target
  return Layer.provideMerge(
    State.layer,
    Layer.unwrap(Effect.map(freePorts(1), ([runnerPort = 0]) =>
      PostgresBackEnd.layer({
        database: { host, port, username, database, minConnections: 8, maxConnections },
        runner: { host: "127.0.0.1", port: runnerPort },
        sharding: { entityMessagePollInterval: "10 seconds" }
      })))
  )
}
