/** A chart over time, with what it says in words for those who do not see it. */
import { useEffect, useLayoutEffect, useRef } from "preact/hooks"
import uPlot from "uplot"
import { clock } from "./Format.ts"
import { whenThemeChanges } from "./Theme.tsx"

export interface Series {
  readonly name: string
  /** One for each time; `null` where nothing is known. */
  readonly values: ReadonlyArray<number | null>
  /** The place of its colour, from 1; a node keeps its own in all charts. */
  readonly colour: number
  readonly dashed?: boolean
}

export interface ChartProps {
  readonly title: string
  /** What the vertical axis counts, in words. */
  readonly unit: string
  readonly atMs: ReadonlyArray<number>
  readonly series: ReadonlyArray<Series>
  readonly shown: (value: number | null) => string
  /** There is nothing between two numbers. */
  readonly whole?: boolean
}

const height = 150

/** 1, 2, 5, 10 … 5,000,000. */
const wholeSteps = Array.from({ length: 7 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat()

const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

const options = ({ series, shown, whole }: ChartProps, width: number): uPlot.Options => {
  const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } }
  const font = "12px system-ui, sans-serif"
  return {
    width,
    height,
    cursor: { y: false, points: { size: 6 }, drag: { setScale: false, x: false, y: false } },
    legend: { show: false },
    scales: { x: { time: true }, y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] } },
    axes: [
      { ...axis, font, space: 80, size: 28, values: (_, times) => times.map((seconds) => clock(seconds * 1_000)) },
      {
        ...axis,
        font,
        size: 64,
        values: (_, values) => values.map((value) => shown(value)),
        ...whole === true ? { incrs: wholeSteps } : {}
      }
    ],
    series: [
      {},
      ...series.map(({ colour: place, dashed, name }): uPlot.Series => ({
        label: name,
        stroke: colour(`--series-${place}`),
        width: 2,
        points: { show: false },
        ...dashed === true ? { dash: [5, 4] } : {}
      }))
    ]
  }
}

const dataOf = ({ atMs, series }: ChartProps): uPlot.AlignedData => [
  atMs.map((ms) => ms / 1_000),
  ...series.map(({ values }) => [...values])
]

/** The latest and the highest of each line, in a sentence. */
export const inWords = ({ series, shown, title, unit }: ChartProps): string =>
  `${title}, ${unit}. ${
    series.map(({ name, values }) => {
      const known = values.filter((value) => value !== null)
      return known.length === 0
        ? `${name}: nothing yet`
        : `${name}: now ${shown(known[known.length - 1] as number)}, at most ${shown(Math.max(...known))}`
    }).join("; ")
  }.`

export const Chart = (props: ChartProps) => {
  const { series, shown, title, unit } = props
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const latest = useRef(props)
  latest.current = props
  /** What is scrolled out of sight is not drawn until it comes back. */
  const inSight = useRef(true)
  const lines = series.map(({ colour, name }) => `${name} ${colour}`).join("|")
  useEffect(() => {
    const element = place.current
    if (element === null) return
    const draw = () => {
      plot.current?.destroy()
      plot.current = new uPlot(options(latest.current, element.clientWidth), dataOf(latest.current), element)
    }
    draw()
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }))
    resized.observe(element)
    const themed = whenThemeChanges(draw)
    const scrolled = new IntersectionObserver((entries) => {
      inSight.current = entries[entries.length - 1]?.isIntersecting ?? true
      if (inSight.current) plot.current?.setData(dataOf(latest.current))
    })
    scrolled.observe(element)
    return () => {
      themed()
      scrolled.disconnect()
      resized.disconnect()
      plot.current?.destroy()
      plot.current = null
    }
  }, [lines])
  // With the text, in one frame: a frame of its own costs the browser as much again.
  useLayoutEffect(() => {
    if (inSight.current) plot.current?.setData(dataOf(props))
  }, [props.atMs, props.series])
  return (
    <figure class="chart">
      <figcaption>
        <h3>
          {title} <span class="quiet">{unit}</span>
        </h3>
        <ul class="legend" aria-hidden="true">
          {series.map(({ colour, name, values }) => (
            <li key={name} class={`series-${colour}`}>
              {name} <strong>{shown(values[values.length - 1] ?? null)}</strong>
            </li>
          ))}
        </ul>
      </figcaption>
      <div ref={place} role="img" aria-label={inWords(props)} />
    </figure>
  )
}
