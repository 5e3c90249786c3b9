from django.test import TestCase


class IndexTest(TestCase):
    def test_a_note_appears(self):
        self.client.post("/", {"author": "Ada", "text": "hello <b>there</b>"})
        page = self.client.get("/").content.decode()
        self.assertIn("Ada", page)
        self.assertIn("hello &lt;b&gt;there&lt;/b&gt;", page)
