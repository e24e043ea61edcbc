/** The examples on FlareDB: whatever they keep is in its three nodes, and any number of runners share them. */
import { Layer, Option } from "effect"
import type { ShardingConfig } from "effect/cluster"
import { ClusterWorkflowEngine, RunnerAddress } from "effect/cluster"
import { Actors, layerKeyValueStore, layerPersistedQueue, layerRateLimiter } from "flaredb/actors"
import type { Endpoint } from "flaredb/client"

export interface ClientOptions {
  /** Where the nodes of FlareDB are. */
  readonly endpoints: ReadonlyArray<Endpoint>
  /** Before every key. Programs of different prefixes know nothing of each other. */
  readonly prefix?: string
  /** Certificates and token, where they are not those of the environment (`FLAREDB_CERTS_DIR`, `FLAREDB_TOKEN_FILE` …). */
  readonly client?: Actors.ActorsOptions["client"]
  readonly sharding?: Partial<ShardingConfig.ShardingConfig["Service"]>
}

export interface Options extends ClientOptions {
  /** Where the other runners reach this one. */
  readonly runner: { readonly host: string; readonly port: number }
}

const services = (prefix: string) =>
  Layer.mergeAll(
    ClusterWorkflowEngine.layer,
    layerKeyValueStore({ prefix }),
    layerPersistedQueue({ prefix }),
    layerRateLimiter({ prefix })
  )

/** One runner: it has its share of the entities, workflows and jobs. */
export const layer = ({ client, endpoints, prefix = "fx/", runner, sharding }: Options) =>
  Layer.provideMerge(
    services(prefix),
    Actors.layer({
      client,
      endpoints,
      prefix,
      sharding: { runnerAddress: Option.some(RunnerAddress.make(runner.host, runner.port)), ...sharding }
    })
  )

/** A process that sends messages to entities and has none. */
export const layerClientOnly = ({ client, endpoints, prefix = "fx/", sharding }: ClientOptions) =>
  Layer.provideMerge(services(prefix), Actors.layerClientOnly({ client, endpoints, prefix, sharding }))

/** All of it in this process and in memory, for tests. */
export const layerMemory = Layer.provideMerge(
  services("fx/"),
  // Who sends before the runner has its shards finds the reply by polling.
  Actors.layerMemory({ sharding: { entityReplyPollInterval: "200 millis" } })
)
