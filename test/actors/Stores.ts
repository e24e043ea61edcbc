/** Registers a suite of `flaredb/testing` over a FlareDB in memory, a fresh one for each case. */
import { it } from "@effect/vitest"
import { Effect, Layer, References } from "effect"
import type { ClientServices } from "../../src/client/RemoteClient.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import type { ConformanceCase } from "../../src/testing/index.ts"

/** The services of a client that was built before: a layer over them can be built again and again. */
export type Services = Layer.Layer<ClientServices>

/** A FlareDB in memory, for as long as the scope lives. */
export const memory = Effect.map(
  Effect.provideService(Layer.build(FlareDb.layerMemory), References.MinimumLogLevel, "Warn"),
  (context): Services => Layer.succeedContext(context)
)

/** Each case in real time, on a store of its own. */
export const onMemory = (cases: (services: Services) => ReadonlyArray<ConformanceCase>): void => {
  for (const [i, { name }] of cases(FlareDb.layerMemory).entries()) {
    it.live(name, () => Effect.scoped(Effect.flatMap(memory, (services) => cases(services)[i]?.effect ?? Effect.void)))
  }
}
