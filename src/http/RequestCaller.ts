/** Who makes a request to the HTTP port, for the handlers behind the guard of the port. */
import { Context } from "effect"
import type { KnownCaller } from "../callers/Authentication.ts"
import type { AccessError, Overloaded } from "../FlareDbError.ts"
import type { RequestCallers } from "./RequestCallers.ts"

export interface RequestCaller {
  /** Who it is, as its certificate or token says; its `caller` is `undefined` where callers are not asked. */
  readonly known: KnownCaller
  /** Its connection, as `host:port`. */
  readonly from: string
  /** Judges and audits what it asks for; absent where callers are not asked and nothing is written down. */
  readonly callers?: RequestCallers | undefined
  /** Counts that what goes on for long is refused from now on, and writes it down. */
  readonly refused: (error: AccessError) => void
  /** Why nothing large is answered now (`OpenAnswers.ts`). */
  readonly room: () => Overloaded | undefined
}

/**
 * The caller of the request that is being answered. The guard of the port provides it. A handler that was reached
 * without the guard fails instead of taking its caller for anybody.
 */
export const RequestCaller: Context.Reference<RequestCaller> = Context.Reference<RequestCaller>(
  "flaredb/http/RequestCaller",
  {
    defaultValue: () => {
      throw new Error("the request did not come through the guard of the HTTP port")
    }
  }
)
