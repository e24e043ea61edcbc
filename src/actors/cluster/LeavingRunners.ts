/**
 * Calls to runners that leave. A runner that ends in good order answers the calls it still has with an interruption.
 * Effect takes that for an interruption of the caller, and stores an interrupt of the request: the next owner of the
 * shard then answers with it for ever, instead of carrying the request out. Here the caller waits for the reply in the
 * storage, as it does when a runner dies.
 */
import { Cause, Effect, Layer, Option } from "effect"
import type { MessageStorage, ShardingConfig } from "effect/cluster"
import { Runners, Snowflake } from "effect/cluster"
import { sayingUnreachable } from "./UnreachableRunners.ts"

type Service = Runners.Runners["Service"]

/** Has callers of stored requests wait for the next owner when the runner they asked leaves. */
export const outliving = (runners: Service): Service =>
  Runners.Runners.of({
    ...runners,
    notify: (options) =>
      options.discard || options.message._tag === "OutgoingEnvelope" ? runners.notify(options) : Effect.catchCause(
        runners.notify(options),
        // A caller that is interrupted itself does not come here.
        (cause) =>
          Cause.hasInterruptsOnly(cause)
            // It is stored already. Without an address only the storage is asked.
            ? runners.notify({ ...options, address: Option.none() })
            : Effect.failCause(cause)
      )
  })

/** Effect's `Runners.layerRpc`, for callers that outlive the runners they ask, and say which ones do not answer. */
export const layer: Layer.Layer<
  Runners.Runners,
  never,
  MessageStorage.MessageStorage | Runners.RpcClientProtocol | ShardingConfig.ShardingConfig
> = Layer.provide(
  Layer.effect(Runners.Runners, Effect.map(Runners.makeRpc, (runners) => outliving(sayingUnreachable(runners)))),
  Snowflake.layerGenerator
)
