/** The configuration of one node. `docs/configuration.md` lists every setting. */
export * from "./ConfigProblem.ts"
export * from "./FlareDbConfig.ts"
export * from "./Limits.ts"
export * from "./NodeAddress.ts"
export { defaultDataDir, defaults } from "./NodeSettings.ts"
export type { CertificatePaths, SecurityConfig } from "./Security.ts"
export { clientCertificatePaths, peerCertificatePaths } from "./Security.ts"
export { fromEnv } from "./Variables.ts"
