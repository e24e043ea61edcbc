/** State of entities, and handlers whose effects are all stored or none. */
export * as DurableState from "./DurableState.ts"
export { DurableStateError, StateTooLarge, StateUndecodable } from "./DurableStateError.ts"
export { EntityStates } from "./EntityStates.ts"
