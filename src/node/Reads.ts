/** The way in for queries: linearizable ones wait for their read index, the others are answered at once. */
import { Deferred, Effect } from "effect"
import type { Trace } from "../protocol/Trace.ts"
import type { ReadError } from "../FlareDbError.ts"
import { Overloaded } from "../FlareDbError.ts"
import type { Limits } from "../config/Limits.ts"
import type { AnswerRoom } from "../machine/AnswerRoom.ts"
import type { OwnIdentity } from "../machine/OwnIdentity.ts"
import type { StateMachine } from "../machine/StateMachine.ts"
import type { Consistency, ReadFrom } from "../protocol/ReadMode.ts"
import type { NodeId } from "../raft/Types.ts"
import type { IdentityWait } from "./IdentityWait.ts"
import type { Inbox } from "./Inbox.ts"
import type { NodeLife } from "./NodeLife.ts"
import type { BeginSpans } from "./OperationSpans.ts"
import type { Pending, ReadGroup } from "./Pending.ts"
import type { Refusals } from "./Refusals.ts"
import { fill } from "./Writes.ts"

/** One result for each query. */
export type ReadResults = ReadonlyArray<Uint8Array | ReadError>

export interface ReadsOptions {
  readonly machine: StateMachine["Service"]
  readonly life: NodeLife
  readonly inbox: Inbox
  readonly pending: Pending
  readonly identity: OwnIdentity["Service"]
  readonly identityWait: IdentityWait
  readonly limits: Pick<Limits, "maxInboxEvents" | "maxPendingReads">
  readonly refusals: Refusals
  readonly spans: BeginSpans
  /** Whether this node leads, as its owner knows it. */
  readonly leads: () => boolean
  /** The leader that this node last published. */
  readonly leader: () => NodeId | undefined
}

export class Reads {
  private readonly options: ReadsOptions

  constructor(options: ReadsOptions) {
    this.options = options
  }

  query(
    queries: ReadonlyArray<Uint8Array>,
    consistency: Consistency,
    from: ReadFrom,
    room: AnswerRoom | undefined,
    traces?: ReadonlyArray<Trace>
  ): Effect.Effect<ReadResults> {
    if (traces === undefined) return this.answers(queries, consistency, from, room)
    return Effect.suspend(() => {
      const spans = this.options.spans("flaredb.node.read", traces)
      return Effect.onExit(
        this.answers(queries, consistency, from, room),
        (exit) => Effect.sync(() => spans?.ended(exit))
      )
    })
  }

  private answers(
    queries: ReadonlyArray<Uint8Array>,
    consistency: Consistency,
    from: ReadFrom,
    room: AnswerRoom | undefined
  ): Effect.Effect<ReadResults> {
    const { identity, identityWait, leader, leads, life, refusals } = this.options
    return Effect.suspend(() => {
      if (life.stopped !== undefined) return Effect.succeed(fill(queries.length, life.stopped))
      if (from === "leader" && !leads()) {
        return Effect.succeed(fill(queries.length, refusals.notLeader(leader())))
      }
      const answers = consistency === "stale"
        ? identity.current() === undefined
          ? Effect.andThen(identityWait.known, this.readState(queries, room))
          : this.readState(queries, room)
        : Effect.flatMap(this.barrier(queries.length), () => this.readState(queries, room))
      return Effect.catch(answers, (error) => Effect.succeed(fill(queries.length, error)))
    })
  }

  /** Succeeds once this node has applied everything that was acknowledged before. */
  readonly readBarrier: Effect.Effect<void, ReadError> = Effect.suspend(() =>
    this.options.life.stopped === undefined ? this.barrier(1) : Effect.fail(this.options.life.stopped)
  )

  /** Waits until this node may answer linearizable reads that began now. */
  private barrier(count: number): Effect.Effect<void, ReadError> {
    const { identity, identityWait, inbox, limits, pending } = this.options
    return Effect.suspend(() => {
      const { waitingQueries } = pending
      if (waitingQueries + count > limits.maxPendingReads) {
        return Effect.fail(overloaded("maxPendingReads", waitingQueries, limits.maxPendingReads))
      }
      const request: ReadGroup = { count, ready: Deferred.makeUnsafe() }
      if (!inbox.offer({ _tag: "Read", request })) {
        return Effect.fail(overloaded("maxInboxEvents", limits.maxInboxEvents, limits.maxInboxEvents))
      }
      pending.admitRead(request)
      return identity.current() === undefined
        ? Effect.andThen(Deferred.await(request.ready), identityWait.known)
        : Deferred.await(request.ready)
    })
  }

  private readState(
    queries: ReadonlyArray<Uint8Array>,
    room: AnswerRoom | undefined
  ): Effect.Effect<ReadResults, ReadError> {
    return this.options.life.orStop("reading the state", this.options.machine.query(queries, room))
  }
}

const overloaded = (limit: string, current: number, maximum: number): Overloaded =>
  new Overloaded({ limit, current, maximum })
