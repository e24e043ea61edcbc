/**
 * What a node really holds: V8 leaves garbage alone while there is little to do, for minutes, so resident memory says as
 * much about its moods as about a leak. A full collection is asked for over the inspector, which SIGUSR1 opens.
 */
import { setTimeout as wait } from "node:timers/promises"
import type { NodeProcess } from "../chaos/NodeProcess.ts"

/** For nodes that are to be collected: the inspector takes any free port. */
export const inspectorFlag = "--inspect-port=0"

const patienceMs = 10_000

const opened = async (node: NodeProcess, from: number): Promise<string> => {
  for (const deadlineMs = performance.now() + patienceMs; performance.now() < deadlineMs; await wait(20)) {
    for (const line of node.log.slice(from)) {
      const [, url] = /^Debugger listening on (ws:\S+)/.exec(line) ?? []
      if (url !== undefined) return url
    }
  }
  throw new Error(`node ${node.id} opens no inspector`)
}

/** Has a node collect all garbage, and closes its inspector again. */
export const collect = async (node: NodeProcess): Promise<void> => {
  const from = node.log.length
  process.kill(node.pid() as number, "SIGUSR1")
  const socket = new WebSocket(await opened(node, from))
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve, { once: true })
    socket.addEventListener("error", reject, { once: true })
  })
  const ask = (id: number, method: string, params: object = {}): Promise<void> =>
    new Promise((resolve) => {
      const take = ({ data }: MessageEvent) => {
        if ((JSON.parse(String(data)) as { readonly id?: number }).id !== id) return
        socket.removeEventListener("message", take)
        resolve()
      }
      socket.addEventListener("message", take)
      socket.send(JSON.stringify({ id, method, params }))
    })
  await ask(1, "HeapProfiler.enable")
  await ask(2, "HeapProfiler.collectGarbage")
  // It ends the connection, so that no answer may come.
  socket.send(JSON.stringify({
    id: 3,
    method: "Runtime.evaluate",
    params: { expression: "process.getBuiltinModule('inspector').close()" }
  }))
  await Promise.race([new Promise((resolve) => socket.addEventListener("close", resolve, { once: true })), wait(2_000)])
  socket.close()
}
