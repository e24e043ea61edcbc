/** Operations of all clients that are under way. They are bounded, because each waits for the log or the state. */
import { CodecError } from "../bytes/CodecError.ts"
import { InvalidArgument, Overloaded } from "../FlareDbError.ts"
import { decodeBatch } from "../protocol/Batch.ts"
import { maxBatchOperations } from "../protocol/ClientRpcs.ts"

/** Operations of one batch, each as its bytes. */
export type Operations = ReadonlyArray<Uint8Array>

export class OperationCount {
  /** Operations under way. */
  underWay = 0
  readonly maximum: number

  constructor(maximum: number) {
    this.maximum = maximum
  }

  /** Unpacks a batch and counts its operations, which {@link ended} is to take back. */
  begin(field: string, batch: Uint8Array): Operations | InvalidArgument | Overloaded {
    // The batch is a view of what the socket received, and its parts outlive the call: one copy for all of them.
    const parts = decodeBatch(new Uint8Array(batch), maxBatchOperations)
    if (parts instanceof CodecError) return new InvalidArgument({ field, problem: parts.message })
    if (this.underWay + parts.length > this.maximum) {
      return new Overloaded({ limit: "maxClientOperations", current: this.underWay, maximum: this.maximum })
    }
    this.underWay += parts.length
    return parts
  }

  ended(parts: Operations): void {
    this.underWay -= parts.length
  }
}

/** Whether {@link OperationCount.begin} has counted them. */
export const begun = (parts: Operations | InvalidArgument | Overloaded): parts is Operations => Array.isArray(parts)
