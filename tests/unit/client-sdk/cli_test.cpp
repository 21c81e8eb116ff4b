// What godwit makes of texts, keys and messages, without a client.
#include <doctest/doctest.h>

#include <algorithm>

#include "tools/godwit/chat_view.hpp"
#include "tools/godwit/line_editor.hpp"
#include "tools/godwit/output.hpp"
#include "tools/godwit/text.hpp"

namespace godwit::cli {
namespace {

using Key = LineEditor::Key;

// The last key that was not none.
Key type(LineEditor& editor, std::string_view bytes) {
  Key last = Key::none;
  for (const char byte : bytes) {
    if (const Key key = editor.feed(byte); key != Key::none) last = key;
  }
  return last;
}

Message message_of(std::string text, bool outgoing = true, Status status = Status::sent) {
  Message message;
  message.text = std::move(text);
  message.outgoing = outgoing;
  message.sender_name = "bob";
  message.status = status;
  return message;
}

bool is_safe(std::string_view line) {
  return std::ranges::none_of(decode(line), [](char32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e);
  });
}

struct Utf8 {
  Utf8() { use_utf8(); }
};

TEST_SUITE("tools/godwit/text") {
  TEST_CASE("no control character of a stranger reaches the terminal") {
    std::string all;
    for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
    all += "\u0080\u009b\u009d31m\u202eabc\u2066\u2028";
    CHECK(is_safe(one_line(all)));
    for (const auto& line : lines_of(all)) CHECK(is_safe(line));
    CHECK(one_line("\x1b[2Ja\tb\nc") == "\uFFFD[2Ja b c");
    CHECK(lines_of("one\r\ntwo\n") == std::vector<std::string>{"one", "two", ""});
  }

  TEST_CASE("what is no UTF-8 becomes a replacement character, byte by byte, and the rest stays") {
    CHECK(one_line("a\xff"
                   "b") == "a\uFFFDb");
    CHECK(decode("\xc3") == U"\uFFFD");                   // cut off
    CHECK(decode("\xc0\xaf") == U"\uFFFD\uFFFD");         // longer than needed
    CHECK(decode("\xed\xa0\x80").front() == 0xfffd);      // a surrogate
    CHECK(decode("\xf4\x90\x80\x80").front() == 0xfffd);  // beyond Unicode
    for (const char32_t c : {0x7fU, 0x80U, 0x7ffU, 0x800U, 0xffffU, 0x10000U, 0x10ffffU}) {
      const std::u32string one(1, c);
      CHECK(decode(encode(one)) == one);
    }
  }

  TEST_CASE_FIXTURE(Utf8, "wide characters take two columns and marks none") {
    CHECK(width_of("abc") == 3);
    CHECK(width_of("日本") == 4);
    CHECK(width_of("e\u0301") == 1);
    CHECK(width_of("👋") == 2);
  }

  TEST_CASE_FIXTURE(Utf8, "what is shortened fits and says that something is missing") {
    CHECK(shorten("abcdef", 6) == "abcdef");
    CHECK(shorten("abcdef", 5) == "abcd…");
    CHECK(shorten("日本語", 5) == "日本…");
    CHECK(shorten("日本語", 4) == "日…");
    CHECK(shorten("abc", 0).empty());
  }

  TEST_CASE_FIXTURE(Utf8, "a wrapped text loses no word and no row is too wide") {
    CHECK(wrap("one two three", 8) == std::vector<std::string>{"one two", "three"});
    CHECK(wrap("abcdefghij", 4) == std::vector<std::string>{"abcd", "efgh", "ij"});
    CHECK(wrap("日本語テ", 5) == std::vector<std::string>{"日本", "語テ"});
    CHECK(wrap("", 5) == std::vector<std::string>{""});
    for (std::size_t columns = 2; columns < 30; ++columns) {
      std::string joined;
      for (const auto& row : wrap("a text 日本語 with several words", columns)) {
        CHECK(width_of(row) <= columns);
        joined += row;
      }
      std::erase(joined, ' ');
      CHECK(joined == "atext日本語withseveralwords");
    }
  }

  TEST_CASE_FIXTURE(Utf8, "a character with its marks is one, and so is what a joiner joins") {
    const std::u32string text = U"ae\u0301👩\u200d💻b";
    CHECK(character_before(text, 3) == 1);
    CHECK(character_after(text, 1) == 3);
    CHECK(character_before(text, 6) == 3);
    CHECK(character_after(text, 3) == 6);
    CHECK(character_before(text, 0) == 0);
    CHECK(character_after(text, text.size()) == text.size());
  }
}

TEST_SUITE("tools/godwit/line_editor") {
  TEST_CASE_FIXTURE(Utf8, "characters go in where the cursor is, whole, however their bytes come") {
    LineEditor editor;
    CHECK(type(editor, "h日o\x1b[D") == Key::none);
    CHECK(type(editor, "e\x1bOCx") == Key::none);
    CHECK(editor.text() == "h日eox");
    CHECK(type(editor, "\x01>\x05<\r") == Key::enter);
    CHECK(editor.take() == ">h日eox<");
    CHECK(editor.empty());
  }

  TEST_CASE_FIXTURE(Utf8, "backspace takes the character that a person sees") {
    LineEditor editor;
    (void)type(editor, "ae\u0301\x7f");
    CHECK(editor.text() == "a");
    (void)type(editor, "👩\u200d💻\x7f\x7f\x7f");
    CHECK(editor.empty());
  }

  TEST_CASE_FIXTURE(Utf8, "the control keys erase words, lines and what is under the cursor") {
    LineEditor editor;
    (void)type(editor, "one two three\x17");
    CHECK(editor.text() == "one two ");
    (void)type(editor, "\x1b[H\x1b[3~");
    CHECK(editor.text() == "ne two ");
    (void)type(editor, "\x0b");
    CHECK(editor.empty());
    CHECK(type(editor, "\x04") == Key::end_of_input);
    CHECK(type(editor, "\x1b[5~") == Key::page_up);
  }

  TEST_CASE_FIXTURE(Utf8, "pasted line breaks stay in the line") {
    LineEditor editor;
    CHECK(type(editor, "\x1b[200~a\rb\x1b[201~") == Key::none);
    CHECK(editor.text() == "a\nb");
    CHECK(editor.view(20).text == "a⏎b");
    CHECK(type(editor, "\r") == Key::enter);
  }

  TEST_CASE_FIXTURE(Utf8, "an unknown or unfinished key changes nothing") {
    LineEditor editor;
    (void)type(editor, "a\x1b[99;5Xb\x1b");
    editor.pause();
    (void)type(editor, "c\xe6");
    (void)type(editor, "d");
    CHECK(editor.text() == "abcd");
  }

  TEST_CASE_FIXTURE(Utf8, "the view holds the cursor and fits, wherever the cursor is") {
    LineEditor editor;
    (void)type(editor, "0123456789日本語abcdef");
    for (int moves = 0; moves < 20; ++moves) {
      const auto view = editor.view(7);
      CHECK(width_of(view.text) <= 7);
      CHECK(view.cursor <= 6);
      (void)type(editor, "\x1b[D");
    }
    CHECK(editor.view(7).cursor == 0);
    CHECK(editor.view(7).text == "0123456");
  }
}

TEST_SUITE("tools/godwit/output") {
  TEST_CASE("near names are offered, the nearest first, and far ones not") {
    const std::vector<std::string> names{"bert", "bob", "carol"};
    CHECK(did_you_mean("bbo", names) == "; did you mean bob?");
    CHECK(did_you_mean("carlo", names) == "; did you mean carol?");
    CHECK(did_you_mean("zoe", names).empty());
    CHECK(did_you_mean("bob", {}).empty());
  }

  TEST_CASE("a message in JSON has the fields that programs rely on, in one line") {
    auto message = message_of("two\nlines \"and\" \x1b", true, Status::delivered);
    message.time = Time{std::chrono::milliseconds{1'700'000'000'123}};
    message.key = "k";
    const Json object = json_of(message);
    const std::string text = object.dump();
    CHECK(text.starts_with(R"({"id":"00000000000000000000000000000000","conversation":"0000)"));
    CHECK(object["sender"] == "bob");
    CHECK(object["sender_id"] == std::string(32, '0'));
    CHECK(object["text"] == message.text);
    CHECK(object["time"] == 1'700'000'000'123);
    CHECK(object["status"] == "delivered");
    CHECK(object["key"] == "k");
    CHECK(is_safe(text));
    CHECK(json_of(message_of("x"))["key"].is_null());
  }

  TEST_CASE("whatever a person should know of is put into words, and nothing else") {
    using enum EventKind;
    for (int number = 0; number <= static_cast<int>(events_lost); ++number) {
      Event event;
      event.kind = static_cast<EventKind>(number);
      event.detail = "a detail\x1b";
      const bool shown_otherwise =
          event.kind == message_received || event.kind == typing || event.kind == status_changed ||
          event.kind == caught_up || event.kind == conversation_added || event.kind == online ||
          event.kind == offline || event.kind == registered || event.kind == contact_added;
      const auto words = words_of(event);
      CHECK(words.has_value() != shown_otherwise);
      if (words) CHECK(is_safe(*words));
    }
    Event failed;
    failed.kind = status_changed;
    failed.status = Status::failed;
    failed.detail = "nobody has this name";
    CHECK(words_of(failed) == "a message was not sent: nobody has this name");
  }

  TEST_CASE("a user is a name, the beginning of an id where there is none, or this account") {
    const Account own{.user = {{1}}, .device = {}, .name = "ann", .relay = {}};
    const std::vector<Contact> contacts{{.user = {{2}}, .name = "bob"},
                                        {.user = {{0xab, 0xcd, 0xef, 0x01, 0x23}}, .name = ""}};
    CHECK(name_of(own.user, contacts, own) == "this account");
    CHECK(name_of(contacts[0].user, contacts, own) == "bob");
    CHECK(name_of(contacts[1].user, contacts, own) == contacts[1].user.hex());
    CHECK(name_of(UserId{{0xff}}, contacts, own) == UserId{{0xff}}.hex());
  }

  TEST_CASE("only our own messages have ticks, and without colours read is a word") {
    CHECK(tick_of(message_of("", true, Status::queued), false) == "…");
    CHECK(tick_of(message_of("", true, Status::sent), false) == "✓");
    CHECK(tick_of(message_of("", true, Status::delivered), false) == "✓✓");
    CHECK(tick_of(message_of("", true, Status::read), false) == "✓✓ read");
    CHECK(tick_of(message_of("", false, Status::read), false).empty());
    CHECK(tick_of(message_of("", true, Status::read), true) !=
          tick_of(message_of("", true, Status::delivered), true));
  }
}

TEST_SUITE("tools/godwit/chat_view") {
  TEST_CASE_FIXTURE(Utf8,
                    "a screen has as many rows as there are, the newest message at the bottom") {
    ChatView view;
    view.peer = "bob";
    for (int i = 0; i < 30; ++i) view.messages.push_back(message_of("m" + std::to_string(i)));
    const LineEditor editor;
    for (const std::size_t rows : {3UL, 10UL, 40UL}) {
      const auto screen = lay_out(view, editor, 40, rows);
      CHECK(screen.rows.size() == rows);
      CHECK(screen.rows[rows - 3].find("m29") != std::string::npos);
      CHECK(screen.cursor_row == rows - 1);
    }
  }

  TEST_CASE_FIXTURE(Utf8, "scrolling ends at the oldest message") {
    ChatView view;
    for (int i = 0; i < 30; ++i) view.messages.push_back(message_of("m" + std::to_string(i)));
    view.scrolled = 1'000;
    const auto screen = lay_out(view, LineEditor(), 40, 12);
    CHECK(screen.scrolled == 31 - 10);  // with the row of the date
    CHECK(screen.rows[1].find("m0") != std::string::npos);
  }

  TEST_CASE_FIXTURE(Utf8,
                    "a notice stays behind the message that it came after, whatever follows") {
    ChatView view;
    for (std::uint8_t i = 1; i <= 3; ++i) {
      view.messages.push_back(message_of("m" + std::to_string(i)));
      view.messages.back().id.bytes[0] = i;
    }
    view.notices = {{"first\x1b", {{1}}}, {"second", {{1}}}, {"of a message that is not here", {}}};
    view.notices_dropped = 7;
    view.connection = "the relay is away";
    const auto rows = lay_out(view, LineEditor(), 40, 12).rows;
    const auto at = [&rows](std::string_view part) {
      return std::ranges::find_if(
                 rows, [&](const auto& row) { return row.find(part) != std::string::npos; }) -
             rows.begin();
    };
    REQUIRE(at("away") == 10);
    CHECK(at("7 older") < at("not here"));
    CHECK(at("not here") < at("m1"));
    CHECK(at("m1") + 1 == at("! first\uFFFD"));
    CHECK(at("! first") + 1 == at("! second"));
    CHECK(at("! second") + 1 == at("m2"));
  }

  TEST_CASE_FIXTURE(Utf8, "rows of hostile, long and wide messages fit and are safe") {
    const std::string text = "\x1b]0;title\x07 " + std::string(200, 'x') + "日本語\nnext";
    for (std::size_t columns = 20; columns <= 200; ++columns) {
      for (const std::string name : {"bob", "a.name.of.thirty-two.characters."}) {
        for (const Status status : {Status::sent, Status::read, Status::failed}) {
          for (const bool outgoing : {true, false}) {
            auto message = message_of(text, outgoing, status);
            message.sender_name = name;
            if (status == Status::failed) message.failure = "nobody has this name, not at all";
            for (const auto& row : rows_of(message, columns, false)) {
              CHECK(width_of(row) <= columns);
              CHECK(is_safe(row));
            }
          }
        }
      }
    }
  }

  TEST_CASE_FIXTURE(Utf8, "where beside a name there is no room the text has rows of its own") {
    auto message = message_of("see you at the harbour", false, Status::received);
    message.sender_name = "somebody-else";
    const auto rows = rows_of(message, 20, false);
    REQUIRE(rows.size() == 3);
    CHECK(rows[0].ends_with(" somebody-el…:"));
    CHECK(rows[1] == "  see you at the");
    CHECK(rows[2] == "  harbour");
    CHECK(rows_of(message, 80, false).size() == 1);
  }
}

}  // namespace
}  // namespace godwit::cli
