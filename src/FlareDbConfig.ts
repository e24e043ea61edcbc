/** The configuration of one node. `docs/configuration.md` lists every setting. */
export * from "./config/ConfigProblem.ts"
export * from "./config/FlareDbConfig.ts"
export * from "./config/Limits.ts"
export * from "./config/NodeAddress.ts"
export { defaultDataDir, defaults } from "./config/NodeSettings.ts"
export { fromEnv } from "./config/Variables.ts"
