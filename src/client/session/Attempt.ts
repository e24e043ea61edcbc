/** One call to a node with operations of a pipeline. */
import type { Connection } from "../connection/Connection.ts"
import type { Limited } from "./Deadlines.ts"
import type { Endpoint } from "../connection/Endpoint.ts"
import type { Operation } from "./Operation.ts"
import type { PipelineError } from "./OperationFailure.ts"

type Op = Operation<PipelineError>

/** Told when a call needs its place in a lane no more. */
export type Ended = () => void

/** One call to a node, until it is answered or its time is over. */
export class Attempt implements Limited {
  readonly endpoint: Endpoint
  readonly connection: Connection
  readonly batch: ReadonlyArray<Op>
  /** How long the node may take, in milliseconds, and when that is over. */
  readonly limitMs: number
  readonly deadlineMs: number
  readonly ended: Ended
  /** Whether its time was over before its answer came. */
  isLate = false
  private readonly onLate: (attempt: Attempt) => void

  constructor(
    { batch, connection, deadlineMs, ended, endpoint, limitMs }: Pick<
      Attempt,
      "endpoint" | "connection" | "batch" | "limitMs" | "deadlineMs" | "ended"
    >,
    onLate: (attempt: Attempt) => void
  ) {
    this.endpoint = endpoint
    this.connection = connection
    this.batch = batch
    this.limitMs = limitMs
    this.deadlineMs = deadlineMs
    this.ended = ended
    this.onLate = onLate
  }

  expire(): void {
    this.isLate = true
    this.onLate(this)
  }
}
