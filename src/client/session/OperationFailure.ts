/** How operations fail. */
import type { AccessError, ReadError, SessionExpired, WriteError, WrongCluster } from "../../FlareDbError.ts"

/** How a node may fail an operation. */
export type NodeFailure = ReadError | WriteError

/** What a caller may learn. */
export type PipelineError =
  | Exclude<WriteError, { readonly _tag: "NotLeader" | "Fatal" }>
  | SessionExpired
  | WrongCluster

/** Whether the node is asked again after a short pause, and no other is asked for it. */
export const isShort = ({ _tag }: NodeFailure): boolean => _tag === "Overloaded" || _tag === "Unauthenticated"

export const isAccessError = (error: PipelineError): error is AccessError =>
  error._tag === "Unauthenticated" || error._tag === "Unauthorized"
