/** Why the state of an entity could not be read or changed. */
import { Data } from "effect"
import type { Schema } from "effect"
import type { ReadFailure } from "../../client/KeyValue.ts"
import type { ShardLockLost } from "../cluster/Failures.ts"
import type { NoTransaction } from "../cluster/StorageTransaction.ts"

/** What is stored does not fit the schema, or the new value does not. */
export class StateUndecodable extends Data.TaggedError("StateUndecodable")<{ readonly cause: Schema.SchemaError }> {
  override get message() {
    return `it does not fit its schema: ${this.cause.message}. Let the schema accept what older versions stored, or ` +
      "delete the key to begin with the initial value"
  }
}

/** A state is larger than one value may be. Nothing was stored. */
export class StateTooLarge extends Data.TaggedError("StateTooLarge")<{
  readonly bytes: number
  readonly maxBytes: number
}> {
  override get message() {
    return `it has ${this.bytes} bytes as JSON; at most ${this.maxBytes} are allowed. ` +
      "Spread it over several entities, or keep what is large under keys of its own"
  }
}

/**
 * A state could not be read or changed. A handler that lets it die is run again by Effect, which is right for a store
 * that was away ({@link ReadFailure}) and for a shard that has another owner now.
 */
export class DurableStateError extends Data.TaggedError("DurableStateError")<{
  readonly entityType: string
  readonly entityId: string
  /** Where the state is kept. */
  readonly key: string
  readonly reason: NoTransaction | StateUndecodable | StateTooLarge | ShardLockLost | ReadFailure
}> {
  override get message() {
    return `the state of ${this.entityType} "${this.entityId}" at ${this.key}: ${this.reason.message}`
  }
}
