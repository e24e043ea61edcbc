/** What can be done to runners and nodes, each with its end: when the promise is done, the fault is over. */
import { setTimeout as wait } from "node:timers/promises"
import { startNode } from "../Site.ts"
import type { RunnerProcess } from "./RunnerProcess.ts"
import type { Stage } from "./Stage.ts"

export const faultNames = [
  "runner-killed",
  "leader-killed",
  "runner-and-leader-killed",
  "all-runners-killed",
  "runner-stopped",
  "runner-cut-off",
  "runner-cut-short",
  "runner-joins",
  "runner-leaves",
  "runners-rolled",
  "nodes-rolled"
] as const

export type FaultName = (typeof faultNames)[number]

/**
 * The first runner and the first node are never ended while `spared`: what they take of memory is then seen from the
 * beginning to the end.
 */
export const inflict = async (name: FaultName, stage: Stage, spared: boolean): Promise<void> => {
  const { options: { note }, random, runners, site } = stage
  const mortal = spared ? runners.slice(1) : runners
  const nodes = spared ? site.nodes.slice(1) : site.nodes
  const any = random.pick(mortal)
  const shortMs = 100 + random.below(900)
  const killRunner = async (victim: RunnerProcess) => {
    await victim.end("SIGKILL")
    await wait(shortMs)
    await stage.start(victim)
  }
  const killLeader = async () => {
    const [first] = site.nodes
    if (spared && first !== undefined) await stage.transferFrom(first)
    const leader = await stage.leader()
    // It may have changed once more.
    if (!nodes.includes(leader)) return
    note(`kill -9 node ${leader.id}, which leads`)
    await leader.end("SIGKILL")
    await wait(shortMs)
    await startNode(leader)
    await site.ready()
  }
  switch (name) {
    case "runner-killed":
      note(`kill -9 ${any.name}`)
      return killRunner(any)
    case "leader-killed":
      return killLeader()
    case "runner-and-leader-killed":
      note(`kill -9 ${any.name} and the leader`)
      await Promise.all([killRunner(any), killLeader()])
      return
    case "all-runners-killed":
      note("kill -9 all runners")
      await Promise.all(mortal.map(killRunner))
      return
    case "runner-stopped": {
      const victim = await stage.depose((runner) => runner.pause(), (runner) => {
        // Both reach it at once: it commits what it had in hand before it can know better.
        runner.openGate()
        runner.resume()
      })
      note(`${victim.name} was stopped for longer than its locks lived, and went on`)
      return
    }
    case "runner-cut-off": {
      const victim = await stage.depose((runner) => {
        // What it commits now is held on its way, and arrives once another runner has its shards.
        runner.cut({ holdForward: true, holdBackward: true })
        runner.openGate()
      }, (runner) => runner.heal())
      note(`${victim.name} was cut off from the store for longer than its locks lived`)
      return
    }
    case "runner-cut-short": {
      const ms = 500 + random.below(3_000)
      const victim = random.pick(runners)
      note(`${victim.name} is cut off from the store for ${ms} ms`)
      victim.cut(random.pick([{ refuse: true }, { holdForward: true }, { holdBackward: true }]))
      await wait(ms)
      victim.heal()
      return
    }
    case "runner-joins": {
      const runner = await stage.addRunner()
      note(`${runner.name} joins`)
      await stage.start(runner)
      await stage.everyEntityAnswers(`after ${runner.name} joined`)
      return stage.remove(runner)
    }
    case "runner-leaves":
      note(`${any.name} leaves and comes back`)
      await stage.leave(any)
      return stage.start(any)
    case "runners-rolled":
      note("a rolling restart of the runners")
      for (const runner of mortal) {
        await stage.leave(runner)
        await stage.start(runner)
      }
      return
    case "nodes-rolled":
      note("a rolling restart of the nodes")
      for (const node of nodes) {
        const { code, signal } = await node.end("SIGTERM")
        if (code !== 0) throw new Error(`node ${node.id} ended with ${code ?? signal}`)
        await startNode(node)
        await site.ready()
      }
      return
  }
}
