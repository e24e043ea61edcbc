/**
 * An RPC group served over TCP with the binary serialization: what the peer port and the client port have in common.
 *
 * A handler's bug fails that call only; a frame that cannot be parsed or is too large closes that connection
 * only. (Left alone, the binary parser would answer everything after it with defects, for ever.)
 */
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import type { Context } from "effect"
import { Clock, Effect, Exit, Fiber, Layer, References, Scope } from "effect"
import type { Rpc, RpcGroup } from "effect/rpc"
import { RpcSerialization, RpcServer } from "effect/rpc"
import { SocketServer } from "effect/socket"
import { watchTables } from "../BoundedTables.ts"
import { lookEvery } from "../CoalescedSleep.ts"
import { defaultLimits } from "../config/Limits.ts"
import type { Answer } from "./CallGate.ts"
import { CallGate } from "./CallGate.ts"
import { CallMetrics } from "./CallMetrics.ts"
import type { CallShapes } from "./CallCodecs.ts"
import type { CallLimits } from "./CallsUnderWay.ts"
import { CallsUnderWay } from "./CallsUnderWay.ts"
import type { ConnectionLimits, Guarded } from "./Connections.ts"
import { Connections, defaultConnectionLimits, sweepMsOf } from "./Connections.ts"
import type { DirectHandlers } from "./DirectCalls.ts"
import { DirectCalls } from "./DirectCalls.ts"
import type { Gate } from "./Gate.ts"
import type { BoundAddress, ListenError } from "./Listening.ts"
import { listen } from "./Listening.ts"
import { measuredHandlers } from "./MeasuredHandlers.ts"
import type { ViolationKind } from "./ProtocolViolations.ts"
import { ProtocolViolations } from "./ProtocolViolations.ts"
import { ServerProtocol } from "./ServerProtocol.ts"
import type { PortTls } from "./tls/Credentials.ts"
import type { Remotes } from "./tls/Remotes.ts"
import type { Remote } from "./tls/Remote.ts"
import { countRefusals } from "./tls/RefusalCount.ts"
import { TlsPort } from "./tls/TlsPort.ts"
import type { TlsProtocol } from "./tls/TlsProtocol.ts"
import { unknownThere } from "./WrongPort.ts"
import { clientProtocol } from "./tls/TlsProtocol.ts"

export interface ServeOptions<Rpcs extends Rpc.Any> {
  readonly name: string
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
  /** A larger frame closes its connection. */
  readonly maxFrameBytes: number
  /**
   * Milliseconds after which a connection on which nothing moved is closed. Clients say something every second, so one
   * that does not has stopped, or its network has, and what waits to be sent to it would stay in memory.
   */
  readonly idleTimeoutMs?: number
  readonly limits?: ConnectionLimits
  /** Bounds the calls that are not answered yet. */
  readonly callLimits?: CallLimits
  /** Who may call. */
  readonly gate: Gate<Rpcs>
  /** The setting behind `limits.maxConnections`. When given, the connections are measured against the limit. */
  readonly connectionsSetting?: string
  /** Where violations are logged; handlers that log their own give it. */
  readonly violations?: ProtocolViolations
  /** How the port is served over TLS; plain without it. */
  readonly tls?: PortTls
  /** What it speaks then. Default: what clients speak. */
  readonly protocol?: TlsProtocol
  /** Has who is at the other end of each connection; handlers that ask give it. */
  readonly remotes?: Remotes
  /** Told when a connection ended. */
  readonly onDisconnect?: (clientId: number) => Effect.Effect<void>
  /** The calls that are made most, see `DirectCalls.ts`. Their other handlers are never called. */
  readonly direct?: DirectHandlers<Rpcs>
  /** What their payloads and answers mostly look like. */
  readonly shapes?: CallShapes
}

const defaultCallLimits: CallLimits = {
  maxPendingCalls: defaultLimits.maxPendingCalls,
  maxPendingCallBytes: defaultLimits.maxPendingCallBytes
}

/** How long what is under way may take to end when the server closes, in milliseconds. */
const closeMs = 500

/** The connections of several servers, as if they came from one. */
const together = (servers: ReadonlyArray<SocketServer.SocketServer["Service"]>) => {
  const [first] = servers
  if (first === undefined) throw new Error("no server")
  return SocketServer.SocketServer.of({
    address: first.address,
    run: (handler) => Effect.raceAllFirst(servers.map((server) => server.run(handler)))
  })
}

/** A scope that closes with the surrounding one, which waits for it no longer than {@link closeMs}. */
const hastyScope = Effect.acquireRelease(Scope.make(), (scope) =>
  Effect.asVoid(
    Effect.flatMap(Effect.forkDetach(Scope.close(scope, Exit.void)), (closing) =>
      Effect.timeoutOption(Fiber.await(closing), closeMs))
  ))

/** The connections by the numbers that handlers know them by. */
class KnownCallers {
  private readonly connections: Connections
  private readonly violations: ProtocolViolations
  private readonly remotes: Remotes | undefined
  private readonly known = new Map<number, Guarded>()

  constructor(connections: Connections, violations: ProtocolViolations, remotes: Remotes | undefined) {
    this.connections = connections
    this.violations = violations
    this.remotes = remotes
  }

  add(clientId: number, guarded: Guarded, remote: Remote): void {
    this.remotes?.add(clientId, remote)
    this.violations.remotes.set(clientId, guarded.remote)
    this.violations.closers.set(clientId, () => guarded.destroy())
    this.known.set(clientId, guarded)
  }

  admit(clientId: number): void {
    const guarded = this.known.get(clientId)
    if (guarded !== undefined) this.connections.admit(guarded)
  }

  closeFor(clientId: number, violation: ViolationKind, problem: string): void {
    const guarded = this.known.get(clientId)
    if (guarded !== undefined) this.connections.closeFor(guarded, violation, problem)
  }

  end(clientId: number): Effect.Effect<void> {
    return Effect.sync(() => {
      this.known.delete(clientId)
      this.remotes?.forget(clientId)
      this.violations.remotes.delete(clientId)
      this.violations.closers.delete(clientId)
    })
  }
}

/** Measures a port's tables against their limits. */
const measure = (
  { callLimits = defaultCallLimits, connectionsSetting, limits = defaultConnectionLimits, name }: Pick<
    ServeOptions<never>,
    "callLimits" | "connectionsSetting" | "limits" | "name"
  >,
  connections: Connections,
  calls: CallsUnderWay
) =>
  watchTables([
    ...(connectionsSetting === undefined ? [] : [{
      table: `${name}_connections`,
      entries: () => connections.size,
      limit: limits.maxConnections,
      setting: connectionsSetting
    }]),
    {
      table: `${name}_unfinished_bytes`,
      entries: () => connections.pendingBytes,
      limit: limits.maxUnfinishedBytes,
      setting: "maxUnfinishedBytes"
    },
    {
      table: `${name}_calls`,
      entries: () => calls.calls,
      limit: callLimits.maxPendingCalls,
      setting: "maxPendingCalls"
    },
    {
      table: `${name}_call_bytes`,
      entries: () => calls.bytes,
      limit: callLimits.maxPendingCallBytes,
      setting: "maxPendingCallBytes"
    }
  ])

/** TLS for a port's connections until the scope closes; `undefined` when it is served without. */
const openTls = (
  { protocol = clientProtocol, tls }: Pick<ServeOptions<never>, "protocol" | "tls">,
  violations: ProtocolViolations
) =>
  tls === undefined
    ? Effect.succeed(undefined)
    : Effect.flatMap(Clock.Clock, (clock) =>
      Effect.acquireRelease(
        Effect.sync(() =>
          new TlsPort({
            tls,
            protocol,
            nowMs: () => clock.currentTimeMillisUnsafe(),
            onProblem: (problem) => violations.report("refused-tls", "this node", problem)
          })
        ),
        (port) => Effect.sync(() => port.close())
      ))

/** Listens where `options` say. */
const openSockets = (options: Pick<ServeOptions<never>, "host" | "name" | "port">) =>
  Effect.map(
    listen(options, (host, port) =>
      Effect.map(NodeSocketServer.make({ host, port, noDelay: true }), (server) => ({
        port: "port" in server.address ? server.address.port : port,
        server
      }))),
    ({ bound, servers }) => ({ bound, sockets: together(servers) })
  )

type Handling<Rpcs extends Rpc.Any> = Rpc.ToHandler<Rpcs> | Rpc.Middleware<Rpcs> | Rpc.ServicesServer<Rpcs>

/** Serves `group` until the scope closes, and says where. */
export const serve = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  options: ServeOptions<Rpcs>
): Effect.Effect<
  BoundAddress,
  ListenError,
  Scope.Scope | Handling<Rpcs>
> =>
  Effect.gen(function*() {
    const { bound, sockets } = yield* openSockets(options)
    const violations = options.violations ?? (yield* ProtocolViolations.make(options.name))
    const connections = new Connections(violations, options.limits ?? defaultConnectionLimits, options.maxFrameBytes)
    const calls = new CallsUnderWay(options.callLimits ?? defaultCallLimits)
    const known = new KnownCallers(connections, violations, options.remotes)
    options.gate.watch((clientId) => known.admit(clientId))
    yield* measure(options, connections, calls)
    yield* Effect.addFinalizer(() => Effect.sync(() => connections.destroyAll()))
    // Closes connections that are beyond a limit of time.
    yield* lookEvery(sweepMsOf(options.limits ?? defaultConnectionLimits), () => connections.sweep())
    const serialization = yield* binary(options.maxFrameBytes)
    const metrics = yield* CallMetrics.make(options.name)
    const scope = yield* hastyScope
    const server = yield* Scope.provide(
      ServerProtocol.make({
        sockets,
        serialization,
        connections,
        tags: Object.keys(options.direct ?? {}),
        knows: (tag) => group.requests.has(tag),
        idleTimeoutMs: options.idleTimeoutMs,
        tls: yield* openTls(options, violations),
        onRefused: yield* countRefusals(options.name),
        onConnect: (clientId, guarded, remote) => known.add(clientId, guarded, remote),
        onAnswer: (clientId, requestId) => calls.end(clientId, requestId),
        take: (clientId, request) => !callGate.admits(clientId, request) || direct.take(clientId, request)
      }),
      scope
    )
    const answer: Answer = (...answered) => server.answer(...answered)
    const callGate = new CallGate(options.gate, {
      codecFor: serialization.codecFor,
      calls,
      metrics,
      answer,
      report: (clientId, violation, problem) => violations.reportCaller(violation, clientId, problem),
      dismiss: (clientId) => server.end(clientId, unknownThere(options.name)),
      closeFor: (clientId, violation, problem) => known.closeFor(clientId, violation, problem)
    })
    const direct = new DirectCalls(group, {
      codecFor: serialization.codecFor,
      handlers: options.direct ?? {},
      shapes: options.shapes ?? {},
      metrics,
      runFork: Effect.runForkWith(yield* Effect.context<never>()),
      answer,
      onMalformed: (clientId, _, problem) => violations.reportCaller("malformed-messages", clientId, problem)
    })
    yield* Scope.addFinalizer(scope, direct.close)
    yield* Layer.buildWithScope(
      RpcServer.layer(group, {
        disableTracing: true,
        disableFatalDefects: true,
        onDisconnect: (clientId) =>
          Effect.suspend(() => {
            options.gate.dismiss(clientId)
            for (const part of [callGate, direct]) part.forget(clientId)
            // Handlers may still ask who it was.
            return Effect.ensuring(options.onDisconnect?.(clientId) ?? Effect.void, known.end(clientId))
          })
      }).pipe(Layer.provide(Layer.effect(RpcServer.Protocol, server.protocol))),
      scope
    ).pipe(
      Effect.updateContext((context: Context.Context<Handling<Rpcs>>) => measuredHandlers(group, context, metrics)),
      // Every client that goes away without a word would be logged.
      Effect.provideService(References.UnhandledLogLevel, undefined)
    )
    return bound
  })

/** The serialization of every port. */
const binary = (maxFrameBytes: number): Effect.Effect<RpcSerialization.RpcSerialization["Service"]> =>
  Effect.provide(
    RpcSerialization.RpcSerialization,
    RpcSerialization.layerSchemaBinary({ maxFrameSize: maxFrameBytes })
  )
