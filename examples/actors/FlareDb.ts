/** The examples on FlareDB: whatever they keep is in its three nodes, and any number of runners share them. */
import { Layer, Option } from "effect"
import { ClusterWorkflowEngine, RunnerAddress } from "effect/cluster"
import { Actors, layerKeyValueStore, layerPersistedQueue, layerRateLimiter } from "flaredb/actors"
import type { Endpoint } from "flaredb/client"

export interface Options {
  /** Where the nodes of FlareDB are. */
  readonly endpoints: ReadonlyArray<Endpoint>
  /** Where the other runners reach this one. */
  readonly runner: { readonly host: string; readonly port: number }
}

const services = Layer.mergeAll(
  ClusterWorkflowEngine.layer,
  layerKeyValueStore(),
  layerPersistedQueue(),
  layerRateLimiter()
)

/** One runner: it has its share of the entities, workflows and jobs. */
export const layer = ({ endpoints, runner }: Options) =>
  Layer.provideMerge(
    services,
    Actors.layer({
      endpoints,
      sharding: { runnerAddress: Option.some(RunnerAddress.make(runner.host, runner.port)) }
    })
  )

/** A process that sends messages to entities and has none. */
export const layerClientOnly = ({ endpoints }: Pick<Options, "endpoints">) =>
  Layer.provideMerge(services, Actors.layerClientOnly({ endpoints }))

/** All of it in this process and in memory, for tests. */
export const layerMemory = Layer.provideMerge(
  services,
  // Who sends before the runner has its shards finds the reply by polling.
  Actors.layerMemory({ sharding: { entityReplyPollInterval: "200 millis" } })
)
