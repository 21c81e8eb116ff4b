"""Makes the page, with its scripts in it, a C++ source: embed.py PAGE PAGE_JS CHART_JS OUTPUT."""

import sys
from pathlib import Path

SOURCE = """#include "tools/load/page_template.hpp"

namespace godwit::load {{

// Numbers, since a literal of this size is more than a compiler has to take.
static constexpr unsigned char kPage[] = {{
{numbers}
}};

std::string_view page_template() {{
  return {{reinterpret_cast<const char*>(kPage), sizeof(kPage)}};
}}

}}  // namespace godwit::load
"""


def main():
    page_file, *script_files, output = map(Path, sys.argv[1:])
    page = page_file.read_text("utf-8")
    for mark, file in zip(("@PAGE_JS@", "@CHART_JS@"), script_files, strict=True):
        script = file.read_text("utf-8")
        if "</script" in script.lower() or "<!--" in script or "@DATA@" in script:
            sys.exit(f"{file} cannot stand inside a page: it would end its script element")
        page = page.replace(mark, script)
    data = page.encode("utf-8")
    lines = (",".join(map(str, data[at : at + 24])) for at in range(0, len(data), 24))
    output.write_text(SOURCE.format(numbers=",\n".join(lines)), "utf-8")


main()
