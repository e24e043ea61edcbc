/** Effect's cluster on the key-value store: layers over the services of `flaredb/client`. */
export type { ClusterName } from "./ClusterKeys.ts"
export { NoMachineId, UnknownRow } from "./Failures.ts"
export { HeldShards } from "./HeldShards.ts"
export { layer as layerRunnerHealth } from "./RunnerHealth.ts"
export { layer as layerRunnerStorage } from "./RunnerStorage.ts"
