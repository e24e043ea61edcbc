/** What the store answers, as Effect's cluster knows errors. */
import { Data, Effect } from "effect"
import { ClusterError } from "effect/cluster"

/** What the store holds is not what this version writes. */
export class UnknownRow extends Data.TaggedError("UnknownRow")<{ readonly key: string }> {
  override get message() {
    return `the row ${this.key} is not of a known format; another version or another program wrote it`
  }
}

/**
 * The messages of this cluster were stored by a version of FlareDB whose rows are others. Nothing was read or changed.
 */
export class OtherLayout extends Data.TaggedError("OtherLayout")<{ readonly key: string; readonly version: string }> {
  override get message() {
    return `the messages beside ${this.key} have layout ${this.version}, ` +
      "which this version neither reads nor changes. " +
      "Let runners of the version that wrote them finish what waits; docs/actors.md says which rows to delete then"
  }
}

/** Every machine id that a Snowflake has room for belongs to a runner that is there, or was an hour ago. */
export class NoMachineId extends Data.TaggedError("NoMachineId")<{ readonly machines: number }> {
  override get message() {
    return `no machine id is free: ${this.machines} addresses of runners were used within an hour. ` +
      "Give runners that are restarted the address they had"
  }
}

/** Others changed the rows of runners each time that one tried to register. It is not registered. */
export class RegistrationContended extends Data.TaggedError("RegistrationContended")<{
  readonly address: string
  readonly attempts: number
}> {
  override get message() {
    return `the runner ${this.address} met others in each of ${this.attempts} attempts to register; try again later`
  }
}

/** Fails as `PersistenceError`, which keeps the cause. */
export const persistent = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, ClusterError.PersistenceError, R> =>
  Effect.mapError(
    effect,
    (cause) => cause instanceof ClusterError.PersistenceError ? cause : new ClusterError.PersistenceError({ cause })
  )

/** Times that a write whose answer was lost is asked for again. */
const repeats = 2

/** Whether a write may have taken effect. */
export const isUnknown = ({ _tag }: { readonly _tag: string }): boolean =>
  _tag === "Indeterminate" || _tag === "SessionExpired" || _tag === "ResultsNotKept"

/**
 * Repeats a write that recognises its own effect when its answer was lost. That is rare: what repeats it is made then.
 */
export const repeatable = <A, E extends { readonly _tag: string }, R>(
  write: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.catch(write, (failure) =>
    isUnknown(failure)
      ? Effect.retry(write, { times: repeats - 1, while: isUnknown })
      : Effect.fail(failure))

/** This process commits for a shard whose lock it does not hold. What it would have stored was not. */
export class ShardLockLost extends Data.TaggedError("ShardLockLost")<{ readonly shard: string }> {
  override get message() {
    return `the lock of shard ${this.shard} is not this runner's any more; nothing was stored, and its owner goes on`
  }
}

/** Another message has this id. */
export class IdTaken extends Data.TaggedError("IdTaken")<{ readonly id: string }> {
  override get message() {
    return `message ${this.id} is not stored: another one has its id. Two clients may draw the same machine id; ` +
      "send it again"
  }
}

/** A reply to a request that has another exit already. */
export class RequestFinished extends Data.TaggedError("RequestFinished")<{ readonly id: string }> {
  override get message() {
    return `request ${this.id} has an exit already; the reply is not stored`
  }
}

/** Others changed the same message again and again. */
export class Contended extends Data.TaggedError("Contended")<{ readonly id: string; readonly attempts: number }> {
  override get message() {
    return `message ${this.id} was changed by others ${this.attempts} times; try again later`
  }
}
