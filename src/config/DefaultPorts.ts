/** Which ports nodes have unless they are given others, in words for a caller that is at the wrong one. */
import { localNodes } from "./NodeAddress.ts"

const portsOf = (port: "clientPort" | "peerPort" | "httpPort"): string => {
  const ports = localNodes.map((node) => node[port])
  return `${Math.min(...ports)} to ${Math.max(...ports)}`
}

export const defaultPorts = `by default nodes have ports ${portsOf("clientPort")} for clients, ${
  portsOf("peerPort")
} for each other and ${portsOf("httpPort")} for HTTP`
