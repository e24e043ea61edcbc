/**
 * `flaredb/actors`: Effect's services for state, kept in FlareDB in place of a SQL database or Redis. They stand on the
 * public client alone. `docs/actors.md` says what each keeps and promises.
 */
export * from "./persistence/index.ts"
export * as Actors from "./Actors.ts"
export * from "./cluster/index.ts"
export * from "./eventlog/index.ts"
export * from "./overview/index.ts"
export * from "./state/index.ts"
export { layer as layerWorkflowEngine } from "./WorkflowEngine.ts"
