/** A {@link Connection} over TCP. Operations are encoded once, and hundreds of them travel in one call. */
import { Cause, Effect, Exit, Option, Schema } from "effect"
import type { RpcClient, RpcGroup } from "effect/rpc"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import { decodeBatch, encodeBatch } from "../../protocol/Batch.ts"
import { CodecError } from "../../bytes/CodecError.ts"
import type { AccessError, InvalidArgument, Overloaded } from "../../FlareDbError.ts"
import { Unauthenticated, Unauthorized, WatchError } from "../../FlareDbError.ts"
import { decodeRevisions } from "../../kv/model/History.ts"
import { encodeRanges } from "../../kv/model/KeyRanges.ts"
import { connectDirect } from "../../net/TcpClient.ts"
import type { DialTls } from "../../net/tls/Credentials.ts"
import { clientShapes } from "../../protocol/CallShapes.ts"
import { ClientRpcs, maxBatchOperations } from "../../protocol/ClientRpcs.ts"
import type { Connect, Connection, ConnectionLost, NodeWatch } from "./Connection.ts"
import type { ClientToken } from "./Hello.ts"
import { sayHello, tokenFor } from "./Hello.ts"
import { Losses } from "./Losses.ts"

export interface TcpConnectionOptions {
  /** Milliseconds until an attempt to connect is given up. */
  readonly connectTimeoutMs: number
  /** How nodes are dialled over TLS; plain without it. */
  readonly tls?: DialTls | undefined
  /** What is shown instead of a certificate, or beside it. Read for each connection. */
  readonly token?: ClientToken | undefined
}

interface Answers<Failure> {
  readonly replies: Uint8Array
  readonly failures: ReadonlyArray<{ readonly slot: number; readonly error: Failure }>
}

/** Results in the order of the operations, from an answer that may come from anywhere. */
const resultsOf = <Failure>(
  answers: Answers<Failure>,
  count: number
): ReadonlyArray<Uint8Array | Failure> | CodecError => {
  const replies = decodeBatch(answers.replies, maxBatchOperations)
  if (replies instanceof CodecError) return replies
  if (replies.length !== count) return new CodecError(`${replies.length} replies to ${count} operations`)
  const results: Array<Uint8Array | Failure> = [...replies]
  for (const { error, slot: index } of answers.failures) {
    if (index >= count) return new CodecError(`a failure of operation ${index} of ${count}`)
    results[index] = error
  }
  return results
}

/** The calls of a client on one connection. */
type Calls = RpcClient.RpcClient<RpcGroup.Rpcs<typeof ClientRpcs>, RpcClientError>

/** Makes a call on a connection, unless that is known to be closed: then the node certainly did not receive it. */
type WhileOpen = <A, E>(call: () => Effect.Effect<A, E | ConnectionLost>) => Effect.Effect<A, E | ConnectionLost>

/** What a node refuses a whole call with. */
type Refusal = InvalidArgument | Overloaded | AccessError

/** A batch that the node refused as a whole fails each of its operations alike. */
const unpack = <Failure>(
  losses: Losses,
  exit: Exit.Exit<Answers<Failure>, unknown>,
  count: number
): Exit.Exit<ReadonlyArray<Uint8Array | Failure | Refusal>, ConnectionLost> => {
  if (Exit.isSuccess(exit)) {
    const results = resultsOf(exit.value, count)
    return results instanceof CodecError ? Exit.fail(losses.lost(results.message, true)) : Exit.succeed(results)
  }
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  return isRefusal(error)
    ? Exit.succeed(new Array<Refusal>(count).fill(error))
    : Exit.fail(losses.of(exit.cause, true))
}

/**
 * What the node says against a watch stays as it is; anything else is the connection's end. So is the interruption of
 * the call at a node that stops, which must not interrupt the fiber that waits for the call.
 */
const refusalsOf = <A>(
  losses: Losses,
  call: Effect.Effect<A, unknown>
): Effect.Effect<A, WatchError | ConnectionLost> =>
  Effect.catchCause(call, (cause): Effect.Effect<never, WatchError | ConnectionLost> => {
    const error = Option.getOrUndefined(Cause.findErrorOption(cause))
    return Effect.fail(isWatchError(error) ? error : losses.of(cause, true, "the node is stopping"))
  })

const watchOver =
  (losses: Losses, rpcs: Calls, whileOpen: WhileOpen): Connection["watch"] => ({ from, only, previous, ranges }) => {
    const begin = whileOpen(() =>
      refusalsOf(
        losses,
        rpcs["client.Watch"]({ ranges: encodeRanges(ranges), from: from ?? null, previous, only: only ?? null })
      )
    )
    // It is not waited for, and a stalled node would make one wait long.
    const end = (watch: number) =>
      Effect.forkDetach(Effect.ignoreCause(whileOpen(() => rpcs["client.EndWatch"]({ watch }))))
    return Effect.map(
      Effect.acquireRelease(begin, ({ watch }) => end(watch)),
      ({ from: first, watch }): NodeWatch => ({
        from: first,
        next: (at, waitMs) =>
          Effect.flatMap(
            whileOpen(() => refusalsOf(losses, rpcs["client.Changes"]({ watch, from: at, waitMs }))),
            ({ changes, through }) => {
              const revisions = decodeRevisions(changes)
              return "_tag" in revisions
                ? Effect.fail(losses.lost(`${revisions.field} ${revisions.problem}`, true))
                : Effect.succeed({ revisions, through })
            }
          ),
        // A connection that is lost fails the question that is open.
        progress: Effect.ignoreCause(whileOpen(() => rpcs["client.WatchProgress"]({ watch })))
      })
    )
  }

/**
 * Opens connections with a `Hello`: nothing else is sent before the node answered it, so that whatever fails
 * earlier was certainly not received.
 */
export const make = (options: TcpConnectionOptions): Connect =>
  Effect.fnUntraced(function*(endpoint) {
    const losses = new Losses(endpoint)
    const token = yield* tokenFor(endpoint, options)
    let open = true
    const { calls: rpcs, direct } = yield* Effect.catchCause(
      connectDirect(ClientRpcs, {
        ...endpoint,
        openTimeoutMs: options.connectTimeoutMs,
        tls: options.tls,
        onDisconnect: () => {
          open = false
        }
      }, clientShapes),
      losses.failWith(false)
    )
    const closed = () => losses.lost("the connection was closed", false)
    // A payload that cannot be encoded throws at once, hence `suspend`.
    const whileOpen: WhileOpen = (call) => Effect.suspend(() => open ? call() : Effect.fail(closed()))

    // A node that stops interrupts its answer, and another user of the connection may close it meanwhile: neither may
    // interrupt the caller here.
    const hello = sayHello(rpcs["client.Hello"], token, options.connectTimeoutMs, losses)
    const { cluster: first, caller, protocol } = yield* hello
    let cluster = first
    const write = direct.callUnsafe("client.Write")
    const read = direct.callUnsafe("client.Read")

    return {
      cluster: whileOpen(() =>
        cluster.identity !== undefined
          ? Effect.succeed(cluster)
          : Effect.map(hello, (now) => {
            cluster = now.cluster
            return cluster
          })
      ),
      caller,
      protocol,
      write: (commands, done, traces) => {
        if (!open) return done(Exit.fail(closed()))
        const payload = { commands: encodeBatch(commands), ...traces === undefined ? {} : { traces } }
        write(payload, (exit) => done(unpack(losses, exit, commands.length)))
      },
      read: (queries, consistency, from, done, traces) => {
        if (!open) return done(Exit.fail(closed()))
        const payload = { consistency, from, queries: encodeBatch(queries), ...traces === undefined ? {} : { traces } }
        read(payload, (exit) => done(unpack(losses, exit, queries.length)))
      },
      watch: watchOver(losses, rpcs, whileOpen),
      status: whileOpen(() => Effect.catchCause(rpcs["client.Status"](), refusedOr(losses))),
      vitals: whileOpen(() => Effect.catchCause(rpcs["client.Vitals"](), refusedOr(losses))),
      transferLeader: (target) =>
        whileOpen(() => Effect.catchCause(rpcs["client.TransferLeader"]({ target: target ?? null }), refusedOr(losses)))
    } satisfies Connection
  })

const isWatchError = Schema.is(WatchError)

const refusals: ReadonlySet<unknown> = new Set<Refusal["_tag"]>([
  "InvalidArgument",
  "Overloaded",
  "Unauthenticated",
  "Unauthorized"
])

const isRefusal = (error: unknown): error is Refusal =>
  typeof error === "object" && error !== null && "_tag" in error && refusals.has(error._tag)

/** What the node says of the caller stays as it is; anything else is the connection's end. */
const refusedOr =
  (losses: Losses) => (cause: Cause.Cause<unknown>): Effect.Effect<never, ConnectionLost | AccessError> => {
    const error = Option.getOrUndefined(Cause.findErrorOption(cause))
    return error instanceof Unauthenticated || error instanceof Unauthorized
      ? Effect.fail(error)
      : losses.failWith(true)(cause)
  }
