/**
 * The client port: `ClientRpcs` over TCP, answered by the node of this process. It holds no state of its own, so
 * that any number of clients may come and go.
 */
import { Context, Effect, Layer, Stream } from "effect"
import type { BoundedTable } from "../BoundedTables.ts"
import { watchTables } from "../BoundedTables.ts"
import { lookEvery } from "../CoalescedSleep.ts"
import type { Connection } from "../client/connection/Connection.ts"
import type { Limits } from "../config/Limits.ts"
import { clientPortConnections, defaultLimits } from "../config/Limits.ts"
import { InvalidArgument, NoHello } from "../FlareDbError.ts"
import { encodeRevisions } from "../kv/model/History.ts"
import { decodeRanges, KeyRanges } from "../kv/model/KeyRanges.ts"
import { maxKeyBytes, maxValueBytes } from "../kv/model/Limits.ts"
import { Gate } from "../net/Gate.ts"
import type { BoundAddress, ListenError } from "../net/Listening.ts"
import { formatBound } from "../net/Listening.ts"
import { ProtocolViolations } from "../net/ProtocolViolations.ts"
import { serve } from "../net/TcpServer.ts"
import type { PortTls } from "../net/tls/Credentials.ts"
import { Remotes } from "../net/tls/Remotes.ts"
import { RaftNode } from "../node/RaftNode.ts"
import { clientShapes } from "../protocol/CallShapes.ts"
import { ClientRpcs, maxBatchBytes } from "../protocol/ClientRpcs.ts"
import { StateRpcs } from "../protocol/StateRpcs.ts"
import { Admission } from "./Admission.ts"
import { AdminCalls } from "./AdminCalls.ts"
import type { CallersConfig } from "./AdmittedCallers.ts"
import type { AdminCall } from "./CallRules.ts"
import { admittedCallers } from "./AdmittedCallers.ts"
import { AnswerBudget, maxWaiting } from "./AnswerBudget.ts"
import type { Callers } from "./Callers.ts"
import { ClientReads } from "./ClientReads.ts"
import { ClientWrites } from "./ClientWrites.ts"
import { ConnectionQuotas } from "./ConnectionQuotas.ts"
import type { Watches } from "./GuardedWatches.ts"
import { guardedWatches } from "./GuardedWatches.ts"
import * as NodeOperations from "./NodeOperations.ts"
import { OperationCount } from "./OperationCount.ts"
import * as OperationMetrics from "./OperationMetrics.ts"
import { OperationGuard } from "./OperationGuard.ts"
import { StateServer } from "./StateServer.ts"
import { WatchServer } from "./WatchServer.ts"

export interface ClientServerOptions {
  readonly clusterId: string
  readonly nodeId: number
  /** Port 0 lets the system choose. */
  readonly listen: { readonly host: string; readonly port: number }
  /** Operations of all clients under way; more are refused as `Overloaded`. */
  readonly maxOperations: number
  /** See `FlareDbConfig.Limits`. */
  readonly limits?: PortLimits
  /** Milliseconds after which a connection on which nothing moves is closed. Default 15,000. */
  readonly idleTimeoutMs?: number | undefined
  /** How it is served over TLS; plain without it. */
  readonly tls?: PortTls | undefined
  /** Who may call; anybody when it is absent. */
  readonly callers?: CallersConfig | undefined
}

const defaultIdleTimeoutMs = 15_000

type PortLimits = Pick<
  Limits,
  | "maxClientConnections"
  | "maxFrameMs"
  | "maxHandshakeMs"
  | "maxPendingAnswerBytes"
  | "maxPendingCallBytes"
  | "maxPendingCalls"
  | "maxUnfinishedBytes"
>

/**
 * Where the client port of a node really is.
 *
 * **When to use**
 *
 * Not in programs, whose configuration names the port. Its name is public because layers of a node provide it.
 */
export class ClientAddress extends Context.Service<ClientAddress, BoundAddress>()("flaredb/server/ClientAddress") {}

/** A batch, one operation of the largest size, and the frame around them. */
const maxFrameBytes = maxBatchBytes + maxValueBytes + maxKeyBytes + 64 * 1024

const Rpcs = ClientRpcs.merge(StateRpcs)

/** The handler of a call that is made directly; it is never called. */
const notDirect = () => Effect.die(new Error("this call has a direct handler"))

/** How often calls that wait for room are looked at, in milliseconds. */
const sweepMs = 250

const newGate = (authorize: Callers | undefined) =>
  new Gate(Rpcs, {
    hello: "client.Hello",
    noHello: (call) => new NoHello({ call }),
    overloaded: (error) => error,
    authorize
  })

/** What the calls of the port work with. */
interface Parts {
  readonly admission: Admission
  readonly watches: Watches
  readonly operations: Connection
  readonly states: StateServer["Service"]
  readonly admins: AdminCalls
}

const clientHandlers = ({ admins, admission, operations, watches }: Parts) =>
  ClientRpcs.toLayer({
    "client.Hello": (hello, { client }) => Effect.suspend(() => admission.hello(client.id, hello)),
    "client.Write": notDirect,
    "client.Read": notDirect,
    "client.Watch": ({ from, only, previous, ranges }, { client }) =>
      Effect.suspend(() => {
        const decoded = decodeRanges(ranges)
        return decoded instanceof KeyRanges
          ? watches.open(client.id, { ranges: decoded, from: from ?? undefined, previous, only: only ?? undefined })
          : Effect.fail(new InvalidArgument({ field: decoded.field, problem: decoded.problem }))
      }),
    "client.Changes": ({ from, waitMs, watch }, { client }) =>
      Effect.map(watches.next(client.id, watch, from, waitMs), ({ previous, revisions, through }) => ({
        changes: encodeRevisions(revisions, previous),
        through
      })),
    "client.WatchProgress": ({ watch }, { client }) => watches.progress(client.id, watch),
    "client.EndWatch": ({ watch }, { client }) => watches.end(client.id, watch),
    "client.Status": () => Effect.orDie(operations.status),
    "client.Vitals": () => Effect.orDie(operations.vitals),
    "client.TransferLeader": ({ target }, { client }) =>
      Effect.andThen(
        admins.begin(client.id, "client.TransferLeader"),
        Effect.orDie(operations.transferLeader(target ?? undefined))
      )
  })

/** A state goes on for hours, and ends when its caller may not see it any more. */
const stateHandlers = ({ admins, states }: Parts) => {
  const guarded = <A, E>(parts: Stream.Stream<A, E>, clientId: number, call: AdminCall) =>
    Stream.unwrap(Effect.as(
      admins.begin(clientId, call),
      Stream.tap(parts, () => admins.goOn(clientId, call))
    ))
  return StateRpcs.toLayer({
    "state.Backup": (_, { client }) => guarded(states.backup, client.id, "state.Backup"),
    "state.HashState": ({ marker }, { client }) =>
      guarded(states.hashState(new Uint8Array(marker)), client.id, "state.HashState")
  })
}

const tablesOf = (
  gate: { readonly size: number },
  maxClientConnections: number,
  operations: OperationCount,
  answers: AnswerBudget
): ReadonlyArray<BoundedTable> => [
  {
    table: "client_connections",
    entries: () => gate.size,
    limit: maxClientConnections,
    setting: "maxClientConnections"
  },
  {
    table: "client_operations",
    entries: () => operations.underWay,
    limit: operations.maximum,
    setting: "maxPendingProposals + maxPendingReads"
  },
  {
    table: "client_answer_bytes",
    entries: () => answers.bytes,
    limit: answers.maxBytes,
    setting: "maxPendingAnswerBytes"
  },
  { table: "client_answers_waiting", entries: () => answers.waiting, limit: maxWaiting, setting: "maxWaiting" }
]

/** Work of the port that is done again and again. */
const sweeping = (answers: AnswerBudget, callers: Callers | undefined) =>
  Effect.andThen(
    Effect.forkScoped(answers.sweeping(sweepMs)),
    callers === undefined ? Effect.void : lookEvery(sweepMs, () => callers.sweep())
  )

const make = Effect.fnUntraced(function*(options: ClientServerOptions) {
  const { clusterId, limits = defaultLimits, nodeId } = options
  const { maxClientConnections } = limits
  const node = yield* RaftNode
  const watches = yield* WatchServer
  const states = yield* StateServer
  const violations = yield* ProtocolViolations.make("client")
  const remotes = new Remotes()
  const admitted = yield* admittedCallers(options, violations, node.access, (clientId) => remotes.of(clientId))
  const callers = admitted?.callers
  const gate = newGate(callers)
  const answers = new AnswerBudget(limits.maxPendingAnswerBytes, violations.nowMs)
  yield* sweeping(answers, callers)
  const operations = new OperationCount(options.maxOperations)
  yield* watchTables(tablesOf(gate, maxClientConnections, operations, answers))
  const guard = callers === undefined ? undefined : new OperationGuard(callers)
  const count = yield* OperationMetrics.make
  const writes = new ClientWrites({ node, operations, answers, newQuota: yield* ConnectionQuotas, count, guard })
  const reads = new ClientReads({ node, operations, answers, count, guard })
  const parts: Parts = {
    admission: new Admission({ clusterId, nodeId, node, gate, violations, maxClientConnections, callers: admitted }),
    watches: callers === undefined ? watches : guardedWatches(watches, callers, node),
    operations: yield* NodeOperations.make(node, watches, clusterId),
    states,
    admins: new AdminCalls(callers, node)
  }
  const address = yield* serve(Rpcs, {
    name: "client",
    ...options.listen,
    maxFrameBytes,
    idleTimeoutMs: options.idleTimeoutMs ?? defaultIdleTimeoutMs,
    limits: { ...limits, maxConnections: clientPortConnections(maxClientConnections) },
    violations,
    remotes,
    ...options.tls === undefined ? {} : { tls: options.tls },
    callLimits: limits,
    gate,
    direct: {
      "client.Write": (payload, _, call) => writes.write(payload, call),
      "client.Read": (payload, _, call) => reads.read(payload, call)
    },
    shapes: clientShapes,
    onDisconnect: (clientId) =>
      Effect.suspend(() => {
        writes.forget(clientId)
        callers?.forget(clientId)
        return watches.endAll(clientId)
      })
  }).pipe(Effect.provide(Layer.merge(clientHandlers(parts), stateHandlers(parts))))
  admitted?.listening(address)
  yield* Effect.logInfo(`clients are served at ${formatBound(address)}`)
  return ClientAddress.of(address)
})

/** Listens for clients until the scope closes. */
export const layer = (
  options: ClientServerOptions
): Layer.Layer<ClientAddress, ListenError, RaftNode | WatchServer> =>
  Layer.effect(ClientAddress, make(options)).pipe(Layer.provide(StateServer.layer(options)))
