"""Work on the event loop in turns: what many requests want at the same moment leaves room for a probe."""

import asyncio
import itertools

from vision_zoo.serving.server.transport import Turns


def test_what_comes_together_goes_on_a_few_at_a_time() -> None:
    async def measure() -> list[int]:
        turns, gone_on = Turns(), 0

        async def late() -> None:
            nonlocal gone_on
            await turns.come()
            gone_on += 1

        waiting = [asyncio.ensure_future(late()) for _ in range(100)]
        seen = [0]
        while gone_on < len(waiting):
            await asyncio.sleep(0)
            seen.append(gone_on)
        assert len(turns) == 0
        return seen

    seen = asyncio.run(measure())
    assert max(after - before for before, after in itertools.pairwise(seen)) <= 4


def test_who_no_longer_waits_has_no_turn() -> None:
    async def leave() -> None:
        turns = Turns()
        waiting = [asyncio.ensure_future(turns.come()) for _ in range(20)]
        await asyncio.sleep(0)
        for one in waiting[10:]:
            one.cancel()
        await asyncio.wait_for(asyncio.gather(*waiting[:10]), 60)
        await asyncio.sleep(0)
        assert len(turns) == 0

    asyncio.run(leave())
