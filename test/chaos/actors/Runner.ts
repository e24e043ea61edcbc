/**
 * `node test/chaos/actors/Runner.ts NAME PORT WAYS`: a runner of `Tally.ts` beside a cluster, until it is ended. WAYS says
 * by which port of 127.0.0.1 each node's client port is reached, as JSON: whatever a node says of where the leader is, the
 * runner takes the ways that are given. FLAREDB_TRUSTED_CA_FILE and FLAREDB_TOKEN are what it trusts and shows, if the cluster has certificates. SIGUSR2 opens its gate. Every few seconds it says what its heap holds.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer, Logger, Option } from "effect"
import { RunnerAddress } from "effect/cluster"
import { Actors } from "../../../src/actors/index.ts"
import { identityFromEnv } from "../../../src/client/CertificateFiles.ts"
import { connectionOptions, resolve } from "../../../src/client/ClientOptions.ts"
import * as RemoteClient from "../../../src/client/RemoteClient.ts"
import * as TcpConnection from "../../../src/client/connection/TcpConnection.ts"
import { Here, TallyLive } from "./Tally.ts"

const [name = "", port = "", ways = "{}"] = process.argv.slice(2)
const host = "127.0.0.1"
const wayTo = new Map(Object.entries(JSON.parse(ways) as Record<string, number>).map(([to, by]) => [Number(to), by]))
const endpoints = [...wayTo.keys()].map((to) => ({ host, port: to }))

/** Milliseconds between two lines about the heap. */
const heapMs = 5_000

const waiting = new Set<() => void>()
process.on("SIGUSR2", () => {
  for (const opened of waiting) opened()
})

const layerHere = Layer.succeed(Here, {
  name: `${name}-${process.pid}`,
  gate: Effect.sync(() => {
    let open = false
    let wake = () => {}
    const opened = () => {
      open = true
      waiting.delete(opened)
      wake()
    }
    waiting.add(opened)
    return Effect.callback<void>((resume) => {
      if (open) return resume(Effect.void)
      wake = () => resume(Effect.void)
      return Effect.sync(() => {
        waiting.delete(opened)
      })
    })
  })
})

/** What lives is what is left after a collection. */
const sayHeap = Effect.sync(() => {
  globalThis.gc?.()
  process.stdout.write(`HEAP ${process.memoryUsage().heapUsed}\n`)
})

/** `Actors.layer`, whose client takes the ways that are given. */
const actors = Actors.layerSharding.pipe(
  Layer.provideMerge(Actors.layerStorage()),
  Layer.provide(Actors.layerConfig({ runnerAddress: Option.some(RunnerAddress.make(host, Number(port))) })),
  Layer.provideMerge(Layer.unwrap(Effect.gen(function*() {
    const options = { name, endpoints, ...yield* identityFromEnv }
    const connect = TcpConnection.make(connectionOptions(resolve(options)))
    return RemoteClient.layerConnect(
      options,
      (endpoint) => connect({ ...endpoint, port: wayTo.get(endpoint.port) ?? endpoint.port })
    )
  })))
)

const ready = Layer.effectDiscard(
  Effect.andThen(
    Effect.sync(() => process.stdout.write("READY\n")),
    Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(heapMs), sayHeap)))
  )
)

NodeRuntime.runMain(Layer.launch(ready.pipe(
  Layer.provideMerge(TallyLive),
  Layer.provide(layerHere),
  Layer.provide(actors),
  Layer.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]))
)))
