/** Nodes that all tests of a file share. A test uses keys of its own, or begins by removing those of others. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, layer } from "@effect/vitest"
import type { Scope } from "effect"
import { Context, Effect, Layer, References } from "effect"
import { runInProcess } from "../processes/cli/InProcess.ts"
import * as Cluster from "./Cluster.ts"

export class SharedCluster extends Context.Service<
  SharedCluster,
  Cluster.Cluster & {
    /** When its first start began, in the time of `performance.now()`. */
    readonly startedMs: number
  }
>()("test/SharedCluster") {}

export const sharedCluster = (voters: 1 | 3) =>
  Layer.effect(
    SharedCluster,
    Effect.gen(function*() {
      const made = yield* Cluster.make(voters)
      const startedMs = performance.now()
      yield* Cluster.start(made)
      // Who dials a node by itself looks for no leader, and asks no second time.
      yield* Effect.provide(made.leader, Cluster.client(made))
      return { ...made, startedMs }
    })
  ).pipe(
    Layer.provideMerge(NodeServices.layer),
    Layer.provide(Layer.succeed(References.MinimumLogLevel, "Warn"))
  )

/** Gives a test a client of the shared nodes. */
export const withClient = Effect.provide(Layer.unwrap(Effect.map(SharedCluster, (cluster) => Cluster.client(cluster))))

/** Shows the logs of the shared nodes when a test fails, as those of a test's own are shown. */
export const showingLogs = <A, E, R>(test: Effect.Effect<A, E, R>) =>
  Effect.onError(test, () => Effect.map(SharedCluster, Cluster.showLogs))

type Test<E> = Effect.Effect<void, E, SharedCluster | NodeServices.NodeServices | Scope.Scope>

/** How a test on the shared nodes is declared. */
export type Declare = <E>(name: string, test: Test<E>) => void

/** Declares tests on nodes that are started once. */
export const onShared = (what: string, voters: 1 | 3, declare: (live: Declare) => void): void =>
  layer(sharedCluster(voters), { excludeTestServices: true, timeout: 180_000 })(
    what,
    (it) => declare((name, test) => it.effect(name, () => showingLogs(test)))
  )

/**
 * Removes all keys, and gives the command line in this process, which expects an exit code, its variables, and the
 * revision of the empty store.
 */
export const emptyStore = Effect.gen(function*() {
  const cluster = yield* SharedCluster
  const env = { FLAREDB_ENDPOINTS: cluster.endpointList, FLAREDB_TIMEOUT_MS: "30000" }
  const flaredb = (code: number, args: ReadonlyArray<string>, stdin: string | Uint8Array = "") =>
    Effect.map(runInProcess(args, { env, stdin, oneAtATime: true }), (ran) => {
      assert.strictEqual(ran.code, code, `flaredb ${args.join(" ")}\n${ran.out}${ran.err}`)
      return ran
    })
  const { out } = yield* flaredb(0, ["delete", "--prefix", "", "--all", "--json"])
  const { revision }: { readonly revision: number } = JSON.parse(out)
  return { cluster, env, flaredb, revision }
})
