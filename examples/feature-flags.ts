/**
 * A service that keeps feature flags in FlareDB: any number of its instances see the same flags, and a flag that was
 * switched stays switched.
 *
 *   npm start                          # a cluster, in another terminal
 *   npx node examples/feature-flags.ts # this service, once: switches a flag and lists all
 */
import { Config, Console, Context, Effect, Layer, Option } from "effect"
import type { Indeterminate, ReadFailure, WriteFailure } from "flaredb/client"
import { identityFromEnv, KeyValue, layer as layerClient, localEndpoints, parseEndpoints } from "flaredb/client"

/** Flags by name. Off until someone switches them on. */
class FeatureFlags extends Context.Service<FeatureFlags, {
  readonly isOn: (name: string) => Effect.Effect<boolean, ReadFailure>
  readonly set: (name: string, on: boolean) => Effect.Effect<void, WriteFailure>
  readonly all: Effect.Effect<ReadonlyArray<readonly [name: string, on: boolean]>, ReadFailure>
}>()("example/FeatureFlags") {
  static readonly layer = Layer.effect(
    FeatureFlags,
    Effect.gen(function*() {
      const kv = yield* KeyValue
      return FeatureFlags.of({
        isOn: (name) => Effect.map(kv.get(`flags/${name}`), Option.exists((entry) => entry.text === "on")),
        // Setting a flag twice is harmless, so an unknown outcome is simply tried again.
        set: (name, on) =>
          kv.put(`flags/${name}`, on ? "on" : "off").pipe(
            Effect.retry({
              times: 3,
              while: (error: WriteFailure): error is Indeterminate => error._tag === "Indeterminate"
            }),
            Effect.asVoid
          ),
        all: Effect.map(
          kv.scan("flags/"),
          ({ entries }) => entries.map((entry) => [entry.keyText.slice("flags/".length), entry.text === "on"] as const)
        )
      })
    })
  )
}

const program = Effect.gen(function*() {
  const flags = yield* FeatureFlags
  yield* flags.set("dark-mode", !(yield* flags.isOn("dark-mode")))
  for (const [name, on] of yield* flags.all) yield* Console.log(`${name} is ${on ? "on" : "off"}`)
})

/**
 * The cluster is one layer; where it is comes from FLAREDB_ENDPOINTS, or else it is the local one. What is shown to it
 * comes from FLAREDB_CERTS_DIR and FLAREDB_TOKEN_FILE, where it has TLS.
 */
const FlareDbLive = Layer.unwrap(
  Effect.gen(function*() {
    const text = yield* Config.option(Config.String("FLAREDB_ENDPOINTS"))
    const endpoints = Option.isSome(text) ? yield* parseEndpoints(text.value) : localEndpoints
    return layerClient({ endpoints, ...yield* identityFromEnv })
  })
)

Effect.runPromise(program.pipe(Effect.provide(FeatureFlags.layer), Effect.provide(FlareDbLive))).catch((error) => {
  process.exitCode = 1
  process.stderr.write(`${String(error)}\n`)
})
