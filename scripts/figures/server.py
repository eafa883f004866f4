"""The HTTP server under load, compared with others."""

from typing import Any

from matplotlib.figure import Figure

from benchmarks.goals import CPU_OVER_RAW_ASGI, WORKERS_OVER_ONE
from scripts.figures.sources import Results, environment_of, hardware, of_kind, versions
from vision_zoo.benchmark.pictures import PALETTE, svg
from vision_zoo.core.tables import markdown


def picture(results: Results) -> str:
    """Plot the requests per second of every server on one connection and on eight, as SVG."""
    (document, *_) = of_kind(results, "server")
    rows = document["closed_loop"]
    servers = list(dict.fromkeys(row["server"] for row in rows))
    connections = sorted({row["connections"] for row in rows})
    figure = Figure(figsize=(8.5, 0.62 * len(servers) + 1.2), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(connections)
    for index, number in enumerate(connections):
        own = {row["server"]: row for row in rows if row["connections"] == number}
        places = [place + (index - (len(connections) - 1) / 2) * height for place in range(len(servers))]
        rates = [own[server]["requests_per_second"] for server in servers]
        label = f"{number} connection{'s' if number > 1 else ''}"
        bars = axes.barh(places, rates, height, color=PALETTE[index], label=label)
        texts = [
            f"{rate:,.0f}, p99 {own[server]['p99_ms']:.1f} ms"
            for server, rate in zip(servers, rates, strict=True)
        ]
        axes.bar_label(bars, texts, padding=4, fontsize=8)
    axes.set_yticks(range(len(servers)), servers)
    axes.invert_yaxis()
    axes.set_xlim(right=1.25 * max(row["requests_per_second"] for row in rows))
    axes.set_xlabel("requests per second, one image each")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.3, axis="x")
    axes.legend(fontsize=8, loc="lower right")
    axes.set_title(f"{document['model']}, client and server on the same {hardware(document)}", fontsize=10)
    return svg(figure, seed="server", text_as_paths=True)


def table(results: Results) -> str:
    """Throughput and latency of every server, then the behaviour of ours under load."""
    return "\n\n".join(part for document in of_kind(results, "server") for part in _parts(document))


def cpu(results: Results) -> str:
    """CPU time per request beside that of the least that a server in Python can do."""
    return "\n\n".join(part for document in of_kind(results, "server_cpu") for part in _cpu_parts(document))


def _cpu_parts(document: dict[str, Any]) -> list[str]:
    rows = [
        {
            "format": row["format"],
            "vision-zoo, µs": f"{row['us']:.0f}",
            "raw ASGI, µs": f"{row['raw_asgi_us']:.0f}",
            f"ratio (goal: {CPU_OVER_RAW_ASGI:g})": f"{row['ratio']:.2f}",
            "range": f"{row['ratio_range'][0]:.2f} to {row['ratio_range'][1]:.2f}",
        }
        for row in document["rows"]
    ]
    first = document["rows"][0]
    how = (
        f"CPU time of all threads of the server per request of `{document['model']}`, eight connections; medians of "
        f"{first['rounds']} rounds of {first['requests']:,} requests, both servers in turn, on the same machine: "
        f"{hardware(document)}. With {versions(environment_of(document))}."
    )
    return [markdown(rows), how]


def load(results: Results) -> str:
    """Several processes, dynamic batching, and a load that is held."""
    return "\n\n".join(part for document in of_kind(results, "server_load") for part in _load_parts(document))


def _load_parts(document: dict[str, Any]) -> list[str]:
    one, *others = document["workers"]
    workers = [
        f"`--workers {row['workers']}` answers {row['requests_per_second']:,.0f} requests per second, one process "
        f"{one['requests_per_second']:,.0f}: {row['requests_per_second'] / one['requests_per_second']:.2f} times as many "
        f"(goal: {WORKERS_OVER_ONE:g})."
        for row in others
    ]
    held = document["held"]
    kept = (
        f"Poisson arrivals, {held['rate']:,} requests per second, {held['requests']:,} in total: "
        f"{sum(held['others'].values())} failed, p99 {held['p99_ms']:.1f} ms, median of rounds with "
        f"{_listed(held['rounds_p99_ms'])} ms (goal: {held['goal_p99_ms']:.0f} ms)."
    )
    where = (
        f"`{document['model']}` unless another is named, client and server on the same {hardware(document)}. "
        f"With {versions(environment_of(document))}."
    )
    rows = [
        {
            "model": row["model"],
            "--max-delay-ms": row["max_delay_ms"],
            "connections": row["connections"],
            "requests per second": f"{row['requests_per_second']:,.0f}",
            "rounds": f"{min(row['rounds']):,.0f} to {max(row['rounds']):,.0f}",
            "p50 ms": f"{row['p50_ms']:.2f}",
            "p99 ms": f"{row['p99_ms']:.2f}",
        }
        for row in document["batching"]
    ]
    return [" ".join([*workers, kept, where]), markdown(rows)]


def _parts(document: dict[str, Any]) -> list[str]:
    rows = [
        {
            "server": row["server"],
            "connections": row["connections"],
            "requests per second": f"{row['requests_per_second']:,.0f}",
            "rounds": f"{min(row['rounds']):,.0f} to {max(row['rounds']):,.0f}",
            "p50 ms": f"{row['p50_ms']:.2f}",
            "p99 ms": f"{row['p99_ms']:.2f}",
        }
        for row in document["closed_loop"]
    ]
    poisson, overload, memory = document["poisson"], document["overload"], document["memory"]
    how = (
        f"`{document['model']}`, one image per request, client and server on the same "
        f"{hardware(document)}; the median of {len(document['closed_loop'][0]['rounds'])} rounds by "
        f"throughput. The model alone takes {document['bare_p50_ms']:.2f} ms. With {versions(environment_of(document))}."
    )
    load = (
        f"Poisson arrivals, {poisson['rate']:,} requests per second, {poisson['requests']:,} in total: "
        f"{sum(poisson['others'].values())} failed, p99 {poisson['p99_ms']:.1f} ms from the scheduled arrival (median of "
        f"rounds with {_listed(poisson['rounds_p99_ms'])} ms). Overload, three times the peak throughput of eight "
        f"connections: throughput stays at {overload['share_of_peak']:.0%} of the peak. Memory growth after "
        f"{memory['requests']:,} requests: {memory['after_mib'] - memory['before_mib']:+.1f} MiB."
    )
    return [markdown(rows), how, load]


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)
