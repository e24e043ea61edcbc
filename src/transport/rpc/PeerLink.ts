/**
 * The way to one peer: two connections, so that a heartbeat never waits behind a megabyte of entries. Order is kept
 * within each, not between them, which Raft tolerates. Batches travel as notifications: an answer to each would wake
 * two processes to say what Raft's own answers say.
 *
 * A connection that fails in any way is thrown away and a new one is made after a short, jittered, constant pause: a
 * peer that comes back is found at once, and one that is gone costs a failed connect twenty times a second.
 */
import { Cause, Data, Deferred, Effect, Exit, Option, Random } from "effect"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import { coalescedSleep, lookEvery } from "../../CoalescedSleep.ts"
import { encodeMessages } from "../../protocol/MessageBatch.ts"
import type { Message } from "../../raft/Message.ts"
import type { NodeId } from "../../raft/Types.ts"
import { describeFailure, tlsRefusalOf } from "../../net/CallFailure.ts"
import { oneLine } from "../../net/OneLine.ts"
import { connectDirect } from "../../net/TcpClient.ts"
import type { DialTls } from "../../net/tls/Credentials.ts"
import { peerProtocol } from "../../net/tls/TlsProtocol.ts"
import type { LearnedIdentity } from "./LearnedIdentity.ts"
import type { OwnBuild } from "./OwnBuild.ts"
import type { SenderLimits } from "./LinkSender.ts"
import { CallTimeout, LinkSender } from "./LinkSender.ts"
import { Outbox } from "./Outbox.ts"
import { PeerRefused, PeerRpcs } from "../../protocol/PeerRpcs.ts"
import type { ClockDifference, PeerHealth } from "../PeerTransport.ts"
import { PeerClock } from "./PeerClock.ts"

/** A peer's address on the peer port. */
export interface PeerAddress {
  readonly id: NodeId
  readonly host: string
  readonly port: number
}

export interface LinkLimits extends SenderLimits {
  /** Messages that may wait for one connection. */
  readonly maxQueuedMessages: number
  /** Bytes that may wait for one connection. */
  readonly maxQueuedBytes: number
  /** Milliseconds between two attempts to connect, give or take a quarter. */
  readonly reconnectMs: number
  /** Milliseconds between two questions for the time of the peer. */
  readonly clockMs: number
}

export const defaultLinkLimits: LinkLimits = {
  maxQueuedMessages: 4_096,
  maxQueuedBytes: 32 * 1024 * 1024,
  maxBatchBytes: 2 * 1024 * 1024,
  // Less than the interval of pings, so that an answer spares the connection a ping.
  askMs: 900,
  callTimeoutMs: 2_000,
  reconnectMs: 50,
  clockMs: 10_000
}

export interface LinkOptions {
  readonly clusterId: string
  readonly identity: LearnedIdentity
  readonly build: OwnBuild
  /** The name of this process. */
  readonly instance: string
  readonly nodeId: NodeId
  readonly peer: PeerAddress
  readonly tls: DialTls | undefined
  readonly limits: LinkLimits
  readonly nowMsUnsafe: () => number
  /** That another process runs under the peer's id, in words, while it does. */
  readonly conflict: () => string | undefined
  /** Writes a line to the log, unless there were too many of its kind just now. */
  readonly tell: (kind: string, line: Effect.Effect<void>) => Effect.Effect<void>
  /** Milliseconds that never go back. */
  readonly monotonicMs: () => number
  /** Told how many milliseconds the peer took to answer a question. */
  readonly onAnswer: (ms: number) => void
  /** What is wrong with the peer's clock, in words. */
  readonly clockProblem: (difference: ClockDifference) => string | undefined
  /** Told how far off the peer's clock is. */
  readonly onClock: (difference: ClockDifference) => void
  /** Told when an established link is lost. */
  readonly onLost: (peer: NodeId) => Effect.Effect<void>
}

/** What a question carries. */
const noMessages = encodeMessages([])

/** Milliseconds between two attempts while a certificate is wrong: it stays so, and a handshake costs both sides. */
const certificateMs = 1_000

/** Whether a link cannot come about before somebody gives one side another certificate. */
const needsCertificate = (cause: Cause.Cause<unknown>): boolean => {
  const refused = tlsRefusalOf(cause)
  // A node that stops ends handshakes, and one without TLS may just be restarting with it.
  if (refused !== undefined) return refused.reason !== "handshake" && refused.reason !== "plain"
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  return error instanceof PeerRefused && error.reason === "certificate"
}

class Disconnected extends Data.TaggedError("Disconnected") {
  override get message() {
    return "the connection was closed"
  }
}

export class PeerLink {
  private readonly options: LinkOptions
  private readonly control: Outbox
  private readonly bulk: Outbox
  private readonly clock = new PeerClock()
  private readonly senders = new Set<LinkSender<RpcClientError | PeerRefused>>()
  private connections = 0
  private sinceMs: number
  private lastError: string | undefined

  constructor(options: LinkOptions) {
    this.options = options
    const { maxQueuedMessages: maxMessages, maxQueuedBytes: maxBytes } = options.limits
    this.control = new Outbox({ maxMessages, maxBytes })
    this.bulk = new Outbox({ maxMessages, maxBytes })
    this.sinceMs = options.nowMsUnsafe()
  }

  send(message: Message): void {
    // Empty appends too: one that overtook the entries before it would be refused, and the leader would start to probe.
    if (message._tag === "AppendRequest") this.bulk.push(message)
    else this.control.push(message)
  }

  /** Writes what was sent to the connections now. */
  flush(): void {
    for (const sender of this.senders) sender.flush()
  }

  health(): PeerHealth {
    const { best } = this.clock
    return {
      peer: this.options.peer.id,
      address: `${this.options.peer.host}:${this.options.peer.port}`,
      connected: this.connections === 2,
      sinceMs: this.sinceMs,
      queued: this.control.size + this.bulk.size,
      dropped: this.control.dropped + this.bulk.dropped,
      lastError: this.lastError,
      conflict: this.options.conflict(),
      clock: best === undefined ? undefined : { ...best, problem: this.options.clockProblem(best) }
    }
  }

  /** What the clock of the peer has reached at least, while it is connected and has said what it shows. */
  wallMs(): number | undefined {
    return this.connections === 2 ? this.clock.reachedMs(this.options.monotonicMs()) : undefined
  }

  /** Keeps both connections up. Never ends. */
  readonly run: Effect.Effect<never> = Effect.suspend(() =>
    Effect.all([this.keepUp(this.control), this.keepUp(this.bulk)], { concurrency: "unbounded" })
  ) as Effect.Effect<never>

  private keepUp(outbox: Outbox): Effect.Effect<never> {
    const { reconnectMs } = this.options.limits
    const pause = (ms: number) => Effect.flatMap(Random.nextBetween(0.75, 1.25), (jitter) => Effect.sleep(ms * jitter))
    return Effect.forever(
      Effect.scoped(this.session(outbox)).pipe(
        Effect.as(reconnectMs),
        Effect.catchCause((cause) =>
          Effect.as(
            this.failed(describeFailure(cause)),
            needsCertificate(cause) ? Math.max(reconnectMs, certificateMs) : reconnectMs
          )
        ),
        Effect.flatMap(pause)
      )
    )
  }

  /** One connection, from `Hello` until it fails. */
  private readonly session = Effect.fnUntraced({ self: this }, function*(this: PeerLink, outbox: Outbox) {
    const { build, clusterId, identity, instance, nodeId, peer, limits } = this.options
    // A link on which nothing is in flight notices its end by this alone; a follower's link to the leader is often so.
    const ended = yield* Deferred.make<never, Disconnected | CallTimeout | RpcClientError | PeerRefused>()
    const { calls, direct } = yield* connectDirect(PeerRpcs, {
      host: peer.host,
      port: peer.port,
      openTimeoutMs: 1_000,
      tls: this.options.tls,
      protocol: peerProtocol,
      onDisconnect: () => {
        Deferred.doneUnsafe(ended, Exit.fail(new Disconnected()))
      }
    })
    const within = <A, E>(call: Effect.Effect<A, E>) =>
      Effect.timeoutOrElse(call, {
        duration: limits.callTimeoutMs,
        orElse: () => Effect.fail(new CallTimeout({ ms: limits.callTimeoutMs }))
      })
    const hello = () =>
      within(
        calls["peer.Hello"]({
          clusterId,
          identity: identity.wire,
          instance,
          from: nodeId,
          to: peer.id,
          ...build.wire
        })
      )
    const unidentified = identity.identity === undefined
    yield* hello()
    yield* Effect.acquireRelease(this.up(outbox), () => this.down())

    const notify = direct.notifyUnsafe("peer.Deliver")
    const ask = direct.callUnsafe("peer.Deliver")
    const sender = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new LinkSender<RpcClientError | PeerRefused>(outbox, {
          limits,
          monotonicMs: this.options.monotonicMs,
          deliver: (messages, onTaken) => notify({ messages: encodeMessages(messages) }, onTaken),
          ask: (done) => void ask({ messages: noMessages }, done),
          onAnswer: this.options.onAnswer,
          onFailed: (cause) => void Deferred.doneUnsafe(ended, Exit.failCause(cause))
        })
      ),
      (sender) =>
        Effect.sync(() => {
          this.senders.delete(sender)
          sender.stop()
        })
    )
    this.senders.add(sender)
    yield* lookEvery(limits.callTimeoutMs / 2, () => sender.look())
    // Heartbeats leave here: no question waits behind entries.
    if (outbox === this.control) yield* Effect.forkScoped(this.askTime(within(calls["peer.Clock"]())))
    // A peer of another cluster could not refuse what was not known yet.
    const identifying = unidentified
      ? Effect.andThen(Effect.flatMap(identity.known, hello), Effect.never)
      : Effect.never
    return yield* Effect.raceFirst(identifying, Deferred.await(ended))
  })

  /** Asks the peer for its time now and then, until it says that it does not know the question. */
  private askTime(question: Effect.Effect<{ readonly wallMs: number }, unknown>): Effect.Effect<void> {
    const { limits, monotonicMs, nowMsUnsafe, onClock } = this.options
    const now = () => ({ wallMs: nowMsUnsafe(), monotonicMs: monotonicMs() })
    const asking = Effect.suspend(() => {
      const asked = now()
      return Effect.map(question, ({ wallMs }) => onClock(this.clock.answered(asked, wallMs, now())))
    })
    // A link that has failed is ended by others. A peer of another version answers with a defect.
    return asking.pipe(
      Effect.ignore,
      Effect.andThen(coalescedSleep(limits.clockMs)),
      Effect.forever,
      Effect.ignoreCause
    )
  }

  private up(outbox: Outbox): Effect.Effect<void> {
    return Effect.suspend(() => {
      // What gathered while the link was down is out of date, and the peer would only refuse it.
      outbox.clear()
      if (outbox === this.control) this.clock.forget()
      this.connections += 1
      if (this.connections < 2) return Effect.void
      this.sinceMs = this.options.nowMsUnsafe()
      this.lastError = undefined
      const { id, host, port } = this.options.peer
      const line = Effect.logInfo(`peer ${id} is up at ${host}:${port}`)
      return this.options.tell(`"peer ${id} is up"`, Effect.annotateLogs(line, { peer: id }))
    })
  }

  private down(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.connections -= 1
      if (this.connections !== 1) return Effect.void
      this.sinceMs = this.options.nowMsUnsafe()
      return this.options.onLost(this.options.peer.id)
    })
  }

  /** One line per change: the same failure again and again says nothing new. */
  private failed(reason: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const error = oneLine(reason)
      if (error === this.lastError) return Effect.void
      this.lastError = error
      const { id, host, port } = this.options.peer
      const line = Effect.logWarning(`peer ${id} is not reachable at ${host}:${port}: ${error}`)
      return this.options.tell(`"peer ${id} is not reachable"`, Effect.annotateLogs(line, { peer: id }))
    })
  }
}
