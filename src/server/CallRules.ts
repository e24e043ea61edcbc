/** Who may make which call of the client port. The table is total: a call that is added needs a rule to compile. */
import type { RpcGroup } from "effect/rpc"
import type { AdminOperation } from "../machine/MachineAccess.ts"
import type { ClientRpcs } from "../protocol/ClientRpcs.ts"
import type { StateRpcs } from "../protocol/StateRpcs.ts"

/** The calls of the port by their names. */
export type ClientCall = RpcGroup.Rpcs<typeof ClientRpcs>["_tag"] | RpcGroup.Rpcs<typeof StateRpcs>["_tag"]

export type CallRule =
  /** It says who calls. */
  | { readonly who: "hello" }
  /** Any caller that is known. What it works on belongs to the connection, or is no secret. */
  | { readonly who: "any" }
  /** Its handler asks for each operation in it (`OperationGuard.ts`). */
  | { readonly who: "operations" }
  /** Its handler asks for the ranges that are watched (`GuardedWatches.ts`). */
  | { readonly who: "ranges" }
  /** Its handler asks (`AdminCalls.ts`). */
  | { readonly who: "admin"; readonly operation: AdminOperation; readonly name: string }

export const callRules = {
  "client.Hello": { who: "hello" },
  "client.Write": { who: "operations" },
  "client.Read": { who: "operations" },
  "client.Watch": { who: "ranges" },
  "client.Changes": { who: "ranges" },
  "client.WatchProgress": { who: "any" },
  "client.EndWatch": { who: "any" },
  "client.Status": { who: "any" },
  "client.Vitals": { who: "any" },
  "client.TransferLeader": { who: "admin", operation: "transfer-leader", name: "TransferLeader" },
  "state.Backup": { who: "admin", operation: "backup", name: "Backup" },
  "state.HashState": { who: "admin", operation: "hash-state", name: "HashState" }
} as const satisfies { readonly [Call in ClientCall]: CallRule }

/** The calls of administrators. */
export type AdminCall = {
  [Call in ClientCall]: (typeof callRules)[Call] extends { readonly who: "admin" } ? Call : never
}[ClientCall]
